// CFSSL's two servers over a test CA: multirootca (a signer for each label) and `cfssl serve` (the first label's).
// All profiles, the default included, demand authentication, and the API speaks TLS.

import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { issueCertificate } from './authority.ts';
import { ensureBinary } from './binaries.ts';
import { type ServerProcess, startServerProcess } from './child.ts';
import { type ServerFolder, type Stoppable, startInFolder } from './folder.ts';
import { type HttpsAccess, requestHttps } from './https-request.ts';
import { withFreePort } from './ports.ts';
import { createTestCa, LABELS, type Label, type TestCa } from './test-ca.ts';

const DAY_SECONDS = 86_400;
const CLIENTS_CA = 'clients-ca.pem';
const SUBJECT_ALT_NAME = '2.5.29.17';
const SERVER_USAGES = ['digital signature', 'key encipherment', 'server auth', 'client auth'];

const PROFILES = {
  default: { key: 'server', expirySeconds: 365 * DAY_SECONDS, usages: SERVER_USAGES },
  server: { key: 'server', expirySeconds: 365 * DAY_SECONDS, usages: SERVER_USAGES },
  'server-short': { key: 'server', expirySeconds: 600, usages: SERVER_USAGES },
  // CFSSL backdates by 5 min, so what is left of it is 1 min.
  'server-brief': { key: 'server', expirySeconds: 360, usages: SERVER_USAGES },
  whitelist: {
    key: 'server',
    expirySeconds: 365 * DAY_SECONDS,
    usages: SERVER_USAGES,
    nameWhitelist: String.raw`^[a-z0-9.-]+\.allowed\.example$`,
  },
  ca: { key: 'server', expirySeconds: 30 * DAY_SECONDS, usages: ['cert sign', 'crl sign'], isCa: true },
  client: { key: 'client', expirySeconds: 365 * DAY_SECONDS, usages: ['digital signature', 'client auth'] },
} as const;

export type ProfileName = keyof typeof PROFILES;

export interface Profile {
  /** Hex; what requests for this profile are authenticated with. */
  readonly authKey: string;
  readonly expirySeconds: number;
  readonly usages: readonly string[];
  /** It makes every certificate a CA, and permits that a request brings its own subjectAltName extension. */
  readonly isCa?: boolean;
  /** A regular expression that every name must match. */
  readonly nameWhitelist?: string;
}

/** Keys by their name in CFSSL's configuration, in hex. */
export type AuthKeys = Readonly<Record<'server' | 'client', string>>;

export interface CfsslOptions {
  /** Default: a CA of its own. */
  readonly ca?: TestCa;
  /** Default: keys of its own. Servers that stand in for each other share CA and keys. */
  readonly authKeys?: AuthKeys;
  /** `cfssl serve` only: whose certificates clients must show, and one of those. Default: none. */
  readonly clients?: ClientCertificates;
  readonly signal?: AbortSignal;
}

export interface ClientCertificates {
  readonly caPem: string;
  readonly clientCertificatePem: string;
  readonly clientKeyPem: string;
}

export interface Cfssl extends Stoppable, HttpsAccess {
  /** What clients must trust for TLS: the root of the CA. */
  readonly caPem: string;
  readonly ca: TestCa;
  readonly labels: readonly Label[];
  readonly rootPem: string;
  readonly intermediatePems: Readonly<Record<Label, string>>;
  readonly authKeys: AuthKeys;
  readonly profiles: Readonly<Record<ProfileName, Profile>>;
  readonly folder: string;
  readonly logFile: string;
  /** Ends the process; the port stays reserved for startServer(). */
  stopServer(): Promise<void>;
  /** Starts it again on the same port, with the same CA. */
  startServer(): Promise<void>;
}

/** Starts multirootca with the labels `intermediate1` and `intermediate2`; a request without label is refused. */
export function startMultirootca(options: CfsslOptions = {}): Promise<Cfssl> {
  return startCfssl('multirootca', options);
}

/** Starts `cfssl serve`, which knows no labels and signs with `intermediate1`. */
export function startCfsslServe(options: CfsslOptions = {}): Promise<Cfssl> {
  return startCfssl('cfssl', options);
}

async function startCfssl(name: 'multirootca' | 'cfssl', options: CfsslOptions): Promise<Cfssl> {
  const { clients, signal } = options;
  const binary = await ensureBinary(name, { signal });
  return startInFolder(name, async (folder, undo) => {
    const ca = options.ca ?? (await createTestCa());
    const authKeys = options.authKeys ?? { server: randomKey(), client: randomKey() };
    await writeConfiguration(folder, ca, authKeys);
    if (clients !== undefined) writeFileSync(join(folder.path, CLIENTS_CA), clients.caPem);
    const caPem = ca.root.certificatePem;

    const start = (port: number): Promise<ServerProcess> => {
      const access = { ...clients, url: `https://127.0.0.1:${port}`, caPem };
      return startServerProcess({
        name,
        folder,
        signal,
        command: [
          binary,
          ...(name === 'cfssl' ? serveArguments(port, clients !== undefined) : multirootcaArguments(port)),
        ],
        isReady: (probe) => answersInfo(access, probe),
      });
    };
    const [port, first] = await withFreePort(async (port) => [port, await start(port)] as const);
    let server = first;
    undo.defer(() => server.stop());

    return {
      url: `https://127.0.0.1:${port}`,
      caPem,
      ca,
      labels: LABELS,
      rootPem: caPem,
      intermediatePems: {
        intermediate1: ca.intermediates.intermediate1.certificatePem,
        intermediate2: ca.intermediates.intermediate2.certificatePem,
      },
      authKeys,
      profiles: describeProfiles(authKeys),
      folder: folder.path,
      logFile: server.logFile,
      stopServer: () => server.stop(),
      startServer: async () => {
        await server.stop();
        server = await start(port);
      },
    };
  });
}

function multirootcaArguments(port: number): string[] {
  return ['-a', `127.0.0.1:${port}`, '-roots', 'roots.conf', '-tls-cert', 'tls.pem', '-tls-key', 'tls-key.pem'];
}

function serveArguments(port: number, demandsCertificate: boolean): string[] {
  const [label] = LABELS;
  const signer = ['-ca', `${label}/ca.pem`, '-ca-key', `${label}/ca-key.pem`, '-config', 'config.json'];
  const mutual = demandsCertificate ? ['-mutual-tls-ca', CLIENTS_CA] : [];
  const tls = ['-tls-cert', 'tls.pem', '-tls-key', 'tls-key.pem', ...mutual];
  return ['serve', '-address', '127.0.0.1', '-port', String(port), ...signer, ...tls];
}

async function answersInfo(access: HttpsAccess, signal: AbortSignal): Promise<boolean> {
  const body = JSON.stringify({ label: LABELS[0] });
  const answer = await requestHttps(access, { method: 'POST', path: '/api/v1/cfssl/info', body, signal });
  return answer.status === 200;
}

async function writeConfiguration({ path }: ServerFolder, ca: TestCa, authKeys: AuthKeys): Promise<void> {
  const write = (file: string, text: string): void => {
    writeFileSync(join(path, file), text, { mode: 0o600 });
  };
  const tls = await issueCertificate(ca.root, { name: 'cfssl', dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'] });
  write('tls.pem', tls.certificatePem);
  write('root.pem', ca.root.certificatePem);
  write('tls-key.pem', tls.keyPem);
  write('config.json', JSON.stringify(buildConfiguration(authKeys), undefined, 2));
  const sections = LABELS.map((label) => {
    mkdirSync(join(path, label));
    write(join(label, 'ca.pem'), ca.intermediates[label].certificatePem);
    write(join(label, 'ca-key.pem'), ca.intermediates[label].keyPem);
    const files = { private: 'ca-key.pem', certificate: 'ca.pem' };
    return [
      `[ ${label} ]`,
      `private = file://${join(path, label, files.private)}`,
      `certificate = ${join(path, label, files.certificate)}`,
      `config = ${join(path, 'config.json')}`,
      // Not read by upstream's multirootca; Wikimedia's and simple-cfssl bundle with it.
      `ca = ${join(path, 'root.pem')}`,
    ].join('\n');
  });
  write('roots.conf', `${sections.join('\n\n')}\n`);
}

function buildConfiguration(authKeys: AuthKeys): object {
  const entries = Object.entries(PROFILES).map(([name, profile]) => [
    name,
    {
      usages: profile.usages,
      expiry: `${profile.expirySeconds}s`,
      auth_key: profile.key,
      ...('isCa' in profile
        ? {
            ca_constraint: { is_ca: true, max_path_len: 0, max_path_len_zero: true },
            allowed_extensions: [SUBJECT_ALT_NAME],
          }
        : {}),
      ...('nameWhitelist' in profile ? { name_whitelist: profile.nameWhitelist } : {}),
    },
  ]);
  const { default: fallback, ...profiles } = Object.fromEntries(entries) as Record<string, object>;
  return {
    signing: { default: fallback, profiles },
    auth_keys: Object.fromEntries(Object.entries(authKeys).map(([name, key]) => [name, { type: 'standard', key }])),
  };
}

function describeProfiles(authKeys: AuthKeys): Record<ProfileName, Profile> {
  const entries = Object.entries(PROFILES).map(([name, { key, ...rest }]) => [
    name,
    { ...rest, authKey: authKeys[key] } satisfies Profile,
  ]);
  return Object.fromEntries(entries) as Record<ProfileName, Profile>;
}

function randomKey(): string {
  return randomBytes(32).toString('hex');
}
