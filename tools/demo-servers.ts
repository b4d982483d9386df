// The servers of the demo. With Go: multirootca and cert-manager's controllers. Without Go, where KUBEBUILDER_ASSETS has a
// control plane: simple-cfssl, and nobody who would make requests of Certificates or approve them.

import { appendFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { startSimpleCfssl } from '../simple-cfssl/index.ts';
import { certificateRequestCrd } from './certificate-request-crd.ts';
import { type IssuerProcess, startIssuer } from './issuer-process.ts';
import { applyOurCrds } from './our-crds.ts';
import {
  applyCrds,
  type CertManager,
  type Cfssl,
  type ControlPlane,
  ensureBinary,
  ServersError,
  startCertManager,
  startControlPlane,
  startInFolder,
  startMultirootca,
} from './servers/index.ts';

/** The CA of the demo, whichever it is. */
export type DemoCfssl = Pick<Cfssl, 'url' | 'caPem' | 'rootPem' | 'logFile' | 'stop'> & {
  readonly program: string;
  readonly labels: readonly string[];
  readonly intermediatePems: Readonly<Record<string, string>>;
  readonly authKeys: Readonly<Record<string, string>>;
};

export interface DemoServers {
  readonly controlPlane: ControlPlane;
  /** Undefined without Go. */
  readonly certManager: CertManager | undefined;
  readonly cfssl: DemoCfssl;
  readonly issuer: IssuerProcess;
  readonly kubectlFolder: string;
}

/** Starts them all; `cleanup` stops them. */
export async function startDemoServers(cleanup: AsyncDisposableStack, signal: AbortSignal): Promise<DemoServers> {
  const isWithGo = await canBuild(signal);
  const kubectl = await ensureBinary('kubectl', { signal });
  const starting = isWithGo ? startMultirootca({ signal }) : startSimply();
  const [controlPlane, cfssl] = await Promise.all([
    startControlPlane({ signal }).then((started) => cleanup.use(started)),
    starting.then((started) => cleanup.use(started)),
  ]);
  const certManager = isWithGo ? cleanup.use(await startCertManager({ access: controlPlane, signal })) : undefined;
  if (!isWithGo) await applyCrds(controlPlane, [certificateRequestCrd], { signal });
  await applyOurCrds(controlPlane, { signal });
  const issuer = cleanup.use(await startIssuer({ access: controlPlane, signal }));
  return {
    controlPlane,
    certManager,
    cfssl: { program: isWithGo ? 'multirootca' : 'simple-cfssl', ...cfssl },
    issuer,
    kubectlFolder: dirname(kubectl),
  };
}

/** Whether the servers that only come from Go modules are there or can be built; throws when nothing else will do. */
async function canBuild(signal: AbortSignal): Promise<boolean> {
  try {
    await ensureBinary('multirootca', { signal });
    await ensureBinary('cert-manager-controllers', { signal });
    return true;
  } catch (error) {
    const isWithoutGo = error instanceof ServersError && error.code === 'SERVERS_NO_GO';
    if (isWithoutGo && (process.env['KUBEBUILDER_ASSETS'] ?? '') !== '') return false;
    throw error;
  }
}

function startSimply() {
  return startInFolder('simple-cfssl', async (folder, undo) => {
    const logFile = join(folder.path, 'simple-cfssl.log');
    const server = await startSimpleCfssl({
      now: () => Date.now(),
      tls: 'own',
      log: (level, message) => appendFileSync(logFile, `[${level}] ${message}\n`),
    });
    undo.defer(() => server.stop());
    const { url, caPem, labels, authKeys, rootPem, intermediatePems } = server;
    return { url, caPem, labels, authKeys, rootPem, intermediatePems, logFile };
  });
}
