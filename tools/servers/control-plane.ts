// A Kubernetes control plane without nodes: etcd, kube-apiserver with TLS and RBAC and, if asked for,
// kube-controller-manager for what the API server alone does not do: namespace deletion, garbage collection, default
// ServiceAccounts. etcd listens on a Unix socket in the folder, so that no port can lead to another one's data.

import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';

import { stringify } from 'yaml';

import { type Authority, createAuthority, createKeyPem, issueCertificate } from './authority.ts';
import { ensureBinary } from './binaries.ts';
import { type ServerProcess, startServerProcess } from './child.ts';
import { type ServerFolder, type Stoppable, startInFolder } from './folder.ts';
import { type HttpsAccess, requestHttps } from './https-request.ts';
import { withFreePort } from './ports.ts';

export interface ControlPlaneOptions {
  /** Run kube-controller-manager too, and with it the ServiceAccount admission plugin. Default: false. */
  readonly controllerManager?: boolean;
  /** Further flags of kube-apiserver: `--audit-log-path=…`. */
  readonly apiServerArguments?: readonly string[];
  readonly signal?: AbortSignal;
}

/** A user's access to the API server: as a kubeconfig and in its parts. */
export interface KubernetesAccess extends Required<HttpsAccess> {
  /** The path of the kubeconfig. */
  readonly kubeconfig: string;
}

export interface KubernetesUser {
  readonly user: string;
  readonly groups?: readonly string[];
}

/** The access of the control plane itself is an administrator's. */
export interface ControlPlane extends Stoppable, KubernetesAccess {
  readonly folder: string;
  readonly logFiles: readonly string[];
  /** Makes a client certificate and a kubeconfig for a user, who may do what RBAC allows. */
  accessFor(user: KubernetesUser): Promise<KubernetesAccess>;
  /** Ends kube-apiserver alone; etcd keeps the data. */
  stopApiServer(): Promise<void>;
  /** Starts it again on the same port. */
  startApiServer(): Promise<void>;
}

const ETCD_CLIENTS = 'localhost:1';
const ETCD_PEERS = 'localhost:2';
const CONTROLLERS = [
  'garbage-collector-controller',
  'namespace-controller',
  'root-ca-certificate-publisher-controller',
  'serviceaccount-controller',
];

/** Starts a control plane; ready means that a client can create objects in the namespace `default`. */
export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const { controllerManager = false, signal } = options;
  const binaries = {
    etcd: await ensureBinary('etcd', { signal }),
    apiServer: await ensureBinary('kube-apiserver', { signal }),
    controllerManager: controllerManager ? await ensureBinary('kube-controller-manager', { signal }) : undefined,
  };
  return startInFolder('control-plane', async (folder, undo) => {
    const authority = await createAuthority('Kubernetes');
    await writeCertificates(folder, authority);
    const etcd = await startEtcd(binaries.etcd, folder, signal);
    undo.defer(() => etcd.stop());

    const start = (port: number, access: KubernetesAccess): Promise<ServerProcess> =>
      startServerProcess({
        name: 'kube-apiserver',
        folder,
        signal,
        command: [binaries.apiServer, ...apiServerArguments(port, options)],
        isReady: (probe) => isServing(access, probe),
        graceMs: 2_000, // it would wait for its watchers to go, and they wait for it
      });
    const first = await withFreePort(async (port) => {
      const admin = { user: 'admin', groups: ['system:masters'] };
      const access = await writeAccess(folder, authority, `https://127.0.0.1:${port}`, admin);
      return { port, access, apiServer: await start(port, access) };
    });
    const { port, access } = first;
    let { apiServer } = first;
    undo.defer(() => apiServer.stop());

    const logFiles = [etcd.logFile, apiServer.logFile];
    if (binaries.controllerManager !== undefined) {
      const manager = await startControllerManager(binaries.controllerManager, folder, access, signal);
      undo.defer(() => manager.stop());
      logFiles.push(manager.logFile);
    }
    return {
      ...access,
      folder: folder.path,
      logFiles,
      accessFor: (user: KubernetesUser) => writeAccess(folder, authority, access.url, user),
      stopApiServer: () => apiServer.stop(),
      startApiServer: async () => {
        await apiServer.stop();
        apiServer = await start(port, access);
      },
    };
  });
}

function startEtcd(binary: string, folder: ServerFolder, signal: AbortSignal | undefined): Promise<ServerProcess> {
  // etcd reads the "host:port" of a Unix socket's URL as a file name, relative to where it runs.
  const clients = `unix://${ETCD_CLIENTS}`;
  const peers = `unix://${ETCD_PEERS}`;
  return startServerProcess({
    name: 'etcd',
    folder,
    signal,
    command: [
      binary,
      '--data-dir=etcd',
      '--unsafe-no-fsync',
      `--listen-client-urls=${clients}`,
      `--advertise-client-urls=${clients}`,
      `--listen-peer-urls=${peers}`,
      `--initial-advertise-peer-urls=${peers}`,
      `--initial-cluster=default=${peers}`,
    ],
    isReady: () => accepts(join(folder.path, ETCD_CLIENTS)),
  });
}

function apiServerArguments(port: number, { controllerManager, apiServerArguments = [] }: ControlPlaneOptions) {
  return [
    `--etcd-servers=unix://${ETCD_CLIENTS}`,
    '--bind-address=127.0.0.1',
    '--advertise-address=127.0.0.1',
    '--endpoint-reconciler-type=none', // a loopback address must not be published as an endpoint
    `--secure-port=${port}`,
    '--tls-cert-file=tls.pem',
    '--tls-private-key-file=tls-key.pem',
    '--client-ca-file=ca.pem',
    '--service-account-issuer=https://kubernetes.default.svc',
    '--service-account-key-file=service-account-key.pem',
    '--service-account-signing-key-file=service-account-key.pem',
    '--authorization-mode=RBAC',
    '--service-cluster-ip-range=10.0.0.0/24',
    ...(controllerManager === true ? [] : ['--disable-admission-plugins=ServiceAccount']),
    ...apiServerArguments,
  ];
}

function startControllerManager(
  binary: string,
  folder: ServerFolder,
  access: KubernetesAccess,
  signal: AbortSignal | undefined,
): Promise<ServerProcess> {
  return startServerProcess({
    name: 'kube-controller-manager',
    folder,
    signal,
    command: [
      binary,
      `--kubeconfig=${access.kubeconfig}`,
      '--leader-elect=false',
      '--secure-port=0',
      `--controllers=${CONTROLLERS.join(',')}`,
      '--root-ca-file=ca.pem',
      '--kube-api-qps=1000',
      '--kube-api-burst=1000',
    ],
    isReady: (probe) => exists(access, '/api/v1/namespaces/default/serviceaccounts/default', probe),
  });
}

async function isServing(access: HttpsAccess, signal: AbortSignal): Promise<boolean> {
  return (await exists(access, '/readyz', signal)) && exists(access, '/api/v1/namespaces/default', signal);
}

async function exists(access: HttpsAccess, path: string, signal: AbortSignal): Promise<boolean> {
  return (await requestHttps(access, { path, signal })).status === 200;
}

function accepts(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    socket.once('error', () => {
      resolve(false);
    });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}

async function writeCertificates({ path }: ServerFolder, authority: Authority): Promise<void> {
  const dnsNames = ['localhost', 'kubernetes', 'kubernetes.default', 'kubernetes.default.svc'];
  const tls = await issueCertificate(authority, { name: 'kube-apiserver', dnsNames, ipAddresses: ['127.0.0.1'] });
  const files = {
    'ca.pem': authority.certificatePem,
    'tls.pem': tls.certificatePem,
    'tls-key.pem': tls.keyPem,
    'service-account-key.pem': createKeyPem(),
  };
  for (const [file, text] of Object.entries(files)) writeFileSync(join(path, file), text, { mode: 0o600 });
  mkdirSync(join(path, 'kubeconfigs'));
}

async function writeAccess(
  { path }: ServerFolder,
  authority: Authority,
  url: string,
  { user, groups = [] }: KubernetesUser,
): Promise<KubernetesAccess> {
  const { certificatePem, keyPem } = await issueCertificate(authority, { name: user, groups });
  const caPem = authority.certificatePem;
  const kubeconfig = join(path, 'kubeconfigs', encodeURIComponent(user));
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  const content = stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster: { server: url, 'certificate-authority-data': base64(caPem) } }],
    users: [
      { name: user, user: { 'client-certificate-data': base64(certificatePem), 'client-key-data': base64(keyPem) } },
    ],
    contexts: [{ name: 'test', context: { cluster: 'test', user } }],
    'current-context': 'test',
  });
  writeFileSync(kubeconfig, content, { mode: 0o600 });
  return { kubeconfig, url, caPem, clientCertificatePem: certificatePem, clientKeyPem: keyPem };
}
