/** The main job, with the issuer as a process of the bundle; test/images.test.ts does the same with it in its image. */
import { describe } from 'node:test';
import { testCertificates } from './support/certificate-tests.ts';
import { getEnvironment } from './support/environment.ts';

describe('a Certificate becomes a Secret', () => testCertificates(() => getEnvironment('cert-manager')));
