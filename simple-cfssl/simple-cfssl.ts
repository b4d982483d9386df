/** The server from its options: configuration found or made, then served. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { resolve } from 'node:path';
import { type Configuration, loadConfiguration } from './configuration.ts';
import { ConfigurationError } from './configuration-error.ts';
import { type GeneratedFiles, generatedPaths, generateFiles } from './generated.ts';
import type { Log } from './log.ts';
import { Metrics } from './metrics.ts';
import { type ServerOptions, startServer } from './server.ts';

export interface SimpleCfsslOptions {
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** multirootca's roots file; default: a configuration of its own. */
  readonly rootsFile?: string;
  /** Keeps the configuration of its own there, private keys included, or takes what is kept there. */
  readonly folder?: string;
  /** What `env:` keys are resolved with; default: nothing is set. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** The label of requests that name none; default: none. */
  readonly defaultLabel?: string;
  /** Answers `bundle: true` where a label has a `ca`, as the configuration of its own has; default: true. */
  readonly bundle?: boolean;
  /** Default: 127.0.0.1. "" is all interfaces. */
  readonly host?: string;
  /** Default: 0, any that is free. */
  readonly port?: number;
  /** `own` is a certificate of the generated root, for localhost. Default: `own`, and plain HTTP with a roots file. */
  readonly tls?: 'own' | 'none' | { readonly certificatePath: string; readonly keyPath: string };
  /** Default: nothing is logged. */
  readonly log?: Log;
}

export interface SimpleCfssl {
  readonly url: string;
  /** What clients must trust for TLS; "" without TLS, or with a certificate that was handed in. */
  readonly caPem: string;
  readonly labels: readonly string[];
  /** In hex by name, as configured. */
  readonly authKeys: Readonly<Record<string, string>>;
  /** What the first label's chains end with; "" when the configuration names no `ca`. */
  readonly rootPem: string;
  /** By label: what it signs with. */
  readonly intermediatePems: Readonly<Record<string, string>>;
  certificatesIssued(): number;
  stop(): Promise<void>;
}

/** @throws ConfigurationError, or Error when a file cannot be read or the address cannot be bound */
export async function startSimpleCfssl(options: SimpleCfsslOptions): Promise<SimpleCfssl> {
  const { now, rootsFile, host = '127.0.0.1', port = 0, log = () => undefined } = options;
  const generated = rootsFile === undefined ? await prepareFiles(options.folder, now()) : undefined;
  const readFile = (path: string): Buffer => {
    const text = generated?.files.get(path);
    return text === undefined ? readFileSync(path) : Buffer.from(text);
  };
  const configuration = loadConfiguration(
    generated?.rootsFile ?? rootsFile ?? '',
    { readFile, env: options.env ?? {} },
    { defaultLabel: options.defaultLabel ?? '', bundle: options.bundle ?? true },
  );
  for (const label of configuration.labels.keys()) log('INFO', `loaded signer ${label}`);
  const metrics = new Metrics();
  const tls = loadTls(options.tls ?? (generated ? 'own' : 'none'), generated, readFile);
  const server = await startServer(configuration, { host: host || undefined, port, tls }, { now, log, metrics });
  const urlHost = isIPv6(host) ? `[${host}]` : host || 'localhost';
  return {
    url: `${tls ? 'https' : 'http'}://${urlHost}:${server.port}`,
    caPem: generated && tls?.isOwn ? readFile(generated.rootCertificate).toString('utf8') : '',
    ...describe(configuration),
    certificatesIssued: () => metrics.certificates,
    stop: () => server.close(),
  };
}

/** Without a folder the files exist in memory only. */
async function prepareFiles(folder: string | undefined, nowMs: number): Promise<GeneratedFiles> {
  if (folder === undefined) return generateFiles('', nowMs);
  const path = resolve(folder);
  if (existsSync(generatedPaths(path).rootsFile)) return { ...generatedPaths(path), files: new Map() };
  const generated = await generateFiles(path, nowMs);
  mkdirSync(path, { recursive: true, mode: 0o700 });
  for (const [file, text] of generated.files) writeFileSync(file, text, { mode: 0o600 });
  return generated;
}

function loadTls(
  tls: NonNullable<SimpleCfsslOptions['tls']>,
  generated: GeneratedFiles | undefined,
  readFile: (path: string) => Buffer,
): (ServerOptions['tls'] & { readonly isOwn: boolean }) | undefined {
  if (tls === 'none') return undefined;
  if (tls !== 'own') return { certificate: readFile(tls.certificatePath), key: readFile(tls.keyPath), isOwn: false };
  if (generated === undefined) throw new ConfigurationError('there is no TLS certificate of our own with a roots file');
  return { certificate: readFile(generated.tlsCertificate), key: readFile(generated.tlsKey), isOwn: true };
}

function describe({ labels }: Configuration) {
  const entries = [...labels];
  const [first] = labels.values();
  return {
    labels: [...labels.keys()],
    authKeys: Object.fromEntries(entries.flatMap(([, { policy }]) => [...policy.authKeys])),
    rootPem: first?.root?.pem ?? '',
    intermediatePems: Object.fromEntries(entries.map(([name, { authority }]) => [name, authority.certificate.pem])),
  };
}
