/**
 * Whom to trust where nothing else is said, found as Go does (`crypto/x509/root_unix.go`, `root_linux.go`), since the Go
 * program left it to that: the first file of a list that can be read, which SSL_CERT_FILE replaces, and besides every
 * certificate in two directories, which SSL_CERT_DIR replaces. What cannot be read is left out. Where that finds
 * nothing, Node's own roots serve. Read once, at start, and made the process' default: parsing them for each client
 * would cost more than all else that a client does.
 */
import { X509Certificate } from 'node:crypto';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { errorFields, type Logger } from '../platform/index.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Where a system keeps its roots. */
export interface TrustLocations {
  readonly files: readonly string[];
  readonly directories: readonly string[];
}

const SYSTEM_LOCATIONS: TrustLocations = {
  files: [
    '/etc/ssl/certs/ca-certificates.crt',
    '/etc/pki/tls/certs/ca-bundle.crt',
    '/etc/ssl/ca-bundle.pem',
    '/etc/pki/tls/cacert.pem',
    '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
    '/etc/ssl/cert.pem',
  ],
  directories: ['/etc/ssl/certs', '/etc/pki/tls/certs'],
};

/** Makes it the process' default. Warns of variables that name nothing of use, as they were meant to be heeded. */
export async function installDefaultTrust(env: Environment, log: Logger): Promise<void> {
  setDefaultCACertificates(await loadDefaultTrust(env, log));
}

/** The default trust: PEM of one certificate each, none twice. */
export async function loadDefaultTrust(
  env: Environment,
  log: Logger,
  locations: TrustLocations = SYSTEM_LOCATIONS,
): Promise<string[]> {
  const { SSL_CERT_FILE: file = '', SSL_CERT_DIR: directories = '' } = env;
  const found = [
    ...(file === '' ? await readFirst(locations.files) : await readChosenFile(file, log)),
    ...(await readDirectories(directories === '' ? locations.directories : directories.split(':'), {
      log,
      isChosen: directories !== '',
    })),
  ];
  const certificates = [...new Set(found)].filter(isCertificate);
  if (certificates.length > 0) return certificates;
  const system = getCACertificates('system');
  return [...new Set(system.length > 0 ? system : getCACertificates('bundled'))];
}

async function readFirst(files: readonly string[]): Promise<readonly string[]> {
  for (const file of files) {
    const certificates = await readCertificates(file).catch(() => undefined);
    if (certificates !== undefined) return certificates;
  }
  return [];
}

async function readChosenFile(file: string, log: Logger): Promise<readonly string[]> {
  try {
    const certificates = await readCertificates(file);
    if (certificates.length === 0) log.warn({ file }, 'SSL_CERT_FILE holds no certificate');
    return certificates;
  } catch (error) {
    log.warn({ file, ...errorFields(error) }, 'Cannot read SSL_CERT_FILE');
    return [];
  }
}

async function readDirectories(
  directories: readonly string[],
  { log, isChosen }: { readonly log: Logger; readonly isChosen: boolean },
): Promise<readonly string[]> {
  const found: string[] = [];
  for (const directory of directories.filter((entry) => entry !== '')) {
    try {
      for (const path of await listUnique(directory)) found.push(...(await readCertificates(path).catch(() => [])));
    } catch (error) {
      if (isChosen) log.warn({ directory, ...errorFields(error) }, 'Cannot read a directory of SSL_CERT_DIR');
    }
  }
  return found;
}

/** The files of a directory, but for links to others of the same, of which OpenSSL's directories have one each. */
async function listUnique(directory: string): Promise<readonly string[]> {
  const entries = await readdir(directory, { withFileTypes: true });
  const paths: string[] = [];
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) continue;
    if (entry.isSymbolicLink() && !(await readlink(path)).includes('/')) continue;
    paths.push(path);
  }
  return paths;
}

async function readCertificates(path: string): Promise<readonly string[]> {
  const text = await readFile(path, 'utf8');
  return text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
}

/** Node refuses all of a list for one that it cannot read. */
function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).subject !== undefined;
  } catch {
    return false;
  }
}
