/**
 * Whom to trust where nothing else is said: as the Go program did, which left it to Go's crypto/x509 (`root_unix.go`):
 * SSL_CERT_FILE and SSL_CERT_DIR if set, else the system's roots. Node's own built-in roots are the last resort, for
 * images without any. Read once, at start, and made the process' default: parsing them for each client would cost more
 * than all else that a client does.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { ConfigError } from './config-error.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Makes it the process' default. @throws ConfigError as `loadDefaultTrust` */
export async function installDefaultTrust(env: Environment): Promise<void> {
  const certificates = await loadDefaultTrust(env);
  try {
    setDefaultCACertificates(certificates);
  } catch (error) {
    throw new ConfigError(`Cannot use the trusted certificates: ${(error as Error).message}`, { cause: error });
  }
}

/** The default trust: PEM of one certificate each. @throws ConfigError when SSL_CERT_FILE or SSL_CERT_DIR name nothing that can be read. */
export async function loadDefaultTrust(env: Environment): Promise<readonly string[]> {
  const { SSL_CERT_FILE: file, SSL_CERT_DIR: directories } = env;
  const parts: string[] = [];
  if (file !== undefined && file !== '') parts.push(...(await readPem(file, 'SSL_CERT_FILE')));
  for (const directory of (directories ?? '').split(':').filter((entry) => entry !== '')) {
    const names = await readdir(directory).catch((cause: Error) => {
      throw new ConfigError(`Cannot read SSL_CERT_DIR ${directory}: ${cause.message}`, { cause });
    });
    for (const name of names.sort()) {
      // A directory of certificates may hold anything else beside them.
      const text = await readFile(join(directory, name), 'utf8').catch(() => '');
      parts.push(...certificatesIn(text));
    }
  }
  if (parts.length > 0) return parts;
  const system = getCACertificates('system');
  return system.length > 0 ? [...new Set(system)] : getCACertificates('bundled');
}

async function readPem(path: string, variable: string): Promise<readonly string[]> {
  const text = await readFile(path, 'utf8').catch((cause: Error) => {
    throw new ConfigError(`Cannot read ${variable} ${path}: ${cause.message}`, { cause });
  });
  const certificates = certificatesIn(text);
  if (certificates.length === 0) throw new ConfigError(`Cannot use ${variable} ${path}: it holds no certificate`);
  return certificates;
}

function certificatesIn(text: string): readonly string[] {
  return text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
}
