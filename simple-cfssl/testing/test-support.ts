/** For the tests of this room: configurations in memory, CSRs and signed requests. */
import { createHmac, webcrypto } from 'node:crypto';
import { type Configuration, loadConfiguration } from '../configuration.ts';
import { generateFiles } from '../generated.ts';
import {
  type Extension,
  type JsonGeneralName,
  Pkcs10CertificateRequestGenerator,
  SubjectAlternativeNameExtension,
} from '../x509-library.ts';

/** 2026-11-24T12:00:20Z. */
export const NOW_MS = 1_795_521_620_000;

export const KEY = 'aa'.repeat(32);
export const PREVIOUS_KEY = 'bb'.repeat(16);
const USAGES = ['digital signature', 'server auth'];

export interface TestOptions {
  /** By name, in the form of CFSSL's JSON; each gets the auth key `key` unless it names one. */
  readonly profiles?: Readonly<Record<string, object>>;
  /** Lines for the section of the label `intermediate1`. */
  readonly settings?: string;
  readonly defaultLabel?: string;
  readonly bundle?: boolean;
}

/** The generated CA with other profiles. */
export async function createConfiguration(options: TestOptions = {}): Promise<Configuration> {
  const { profiles = {}, settings = '', defaultLabel = '', bundle = false } = options;
  const generated = await generateFiles('', NOW_MS);
  const build = (profile: object): object => ({ usages: USAGES, expiry: '1h', auth_key: 'key', ...profile });
  const config = {
    signing: {
      default: build({}),
      profiles: Object.fromEntries(Object.entries(profiles).map(([name, profile]) => [name, build(profile)])),
    },
    auth_keys: { key: { type: 'standard', key: KEY }, previous: { type: 'standard', key: PREVIOUS_KEY } },
  };
  const roots = generated.files.get(generated.rootsFile)?.replace('\n\n', `\n${settings}\n\n`) ?? '';
  const files = new Map([...generated.files, ['config.json', JSON.stringify(config)], [generated.rootsFile, roots]]);
  const readFile = (path: string): Buffer => {
    const text = files.get(path);
    if (text === undefined) throw new Error(`There is no file ${path}`);
    return Buffer.from(text);
  };
  return loadConfiguration(generated.rootsFile, { readFile, env: {} }, { defaultLabel, bundle });
}

export interface CsrOptions {
  readonly subject?: string;
  readonly names?: readonly JsonGeneralName[];
  readonly extensions?: readonly Extension[];
  readonly algorithm?: 'ECDSA' | 'Ed25519';
}

export async function createCsr(options: CsrOptions = {}): Promise<string> {
  const { subject = 'CN=a.example', names = [], extensions = [], algorithm = 'ECDSA' } = options;
  const signingAlgorithm =
    algorithm === 'Ed25519' ? { name: algorithm } : { name: algorithm, namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = (await webcrypto.subtle.generateKey(signingAlgorithm, true, [
    'sign',
    'verify',
  ])) as webcrypto.CryptoKeyPair;
  const request = await Pkcs10CertificateRequestGenerator.create({
    name: subject,
    keys,
    signingAlgorithm,
    extensions: [...extensions, ...(names.length > 0 ? [new SubjectAlternativeNameExtension([...names])] : [])],
  });
  return `${request.toString('pem')}\n`;
}

/** The body of `authsign` for a request, given as an object or as its JSON. */
export function authenticate(request: object | string, key: string = KEY): Buffer {
  const bytes = Buffer.from(typeof request === 'string' ? request : JSON.stringify(request));
  const token = createHmac('sha256', Buffer.from(key, 'hex')).update(bytes).digest('base64');
  return Buffer.from(JSON.stringify({ token, request: bytes.toString('base64') }));
}
