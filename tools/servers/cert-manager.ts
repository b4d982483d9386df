// cert-manager's own controllers, less those that sign: an annotated Ingress or Gateway becomes a Certificate, a Certificate
// a CertificateRequest, every request is approved whoever its issuer is, and what an issuer puts in its status becomes the
// Secret. No webhook runs, so nothing sets defaults or validates beyond the CRDs.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { parse } from 'yaml';

import { progress } from '../progress.ts';
import { ensureBinary, ensureCertManagerCrds, ensureGatewayApiCrds } from './binaries.ts';
import { startServerProcess } from './child.ts';
import type { KubernetesAccess } from './control-plane.ts';
import { applyCrds } from './crds.ts';
import { type Stoppable, startInFolder } from './folder.ts';

export interface CertManagerOptions {
  /** An administrator's access: a ControlPlane will do. */
  readonly access: KubernetesAccess;
  /** How long a Certificate waits after its first failed request. Default: cert-manager's, an hour. */
  readonly minimumBackoffSeconds?: number;
  readonly signal?: AbortSignal;
}

export interface CertManager extends Stoppable {
  readonly logFile: string;
}

/** The files of the Gateway API's kinds that cert-manager looks at. */
const GATEWAY_API_FILES = /_(gateways|gatewayclasses)\.yaml$/;

/** Installs the CRDs of cert-manager and of the Gateway API, and starts cert-manager's controllers. */
export async function startCertManager(options: CertManagerOptions): Promise<CertManager> {
  const { access, minimumBackoffSeconds, signal } = options;
  const binary = await ensureBinary('cert-manager-controllers', { signal });
  await installCertManagerCrds(access, { signal });
  const gatewayApi = readCrds(await ensureGatewayApiCrds({ signal }), GATEWAY_API_FILES);
  await progress('Installing the CRDs of the Gateway API', () => applyCrds(access, gatewayApi, { signal }));
  return startInFolder('cert-manager', async (folder, undo) => {
    const logFile = join(folder.path, 'cert-manager.log');
    const backoff = minimumBackoffSeconds === undefined ? [] : [`-minimum-backoff=${minimumBackoffSeconds}s`];
    const controllers = await startServerProcess({
      name: 'cert-manager',
      folder,
      signal,
      command: [binary, `-kubeconfig=${access.kubeconfig}`, ...backoff],
      isReady: async () => /Started \d+ controllers/.test(readFileSync(logFile, 'utf8')),
    });
    undo.defer(() => controllers.stop());
    return { logFile };
  });
}

/** Installs cert-manager's CRDs, as its module has them, and waits until they are served. */
export async function installCertManagerCrds(
  access: KubernetesAccess,
  { signal }: { signal?: AbortSignal | undefined } = {},
): Promise<void> {
  const crds = readCrds(await ensureCertManagerCrds({ signal }), /\.yaml$/);
  await progress('Installing the CRDs of cert-manager', () => applyCrds(access, crds, { signal }));
}

function readCrds(folder: string, wanted: RegExp): readonly unknown[] {
  const files = readdirSync(folder).filter((file) => wanted.test(file));
  return files.map((file): unknown => parse(readFileSync(join(folder, file), 'utf8')));
}
