/**
 * Whom to trust as CFSSL server when an issuer does not say: as the Go program did, which left it to Go's crypto/x509
 * (`root_unix.go`): SSL_CERT_FILE and SSL_CERT_DIR if set, else the system's roots. Node's own built-in roots are the
 * last resort, for images without any. Read once, at start.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { getCACertificates } from 'node:tls';
import { ConfigError } from './config-error.ts';

/** PEM of the default trust. @throws ConfigError when SSL_CERT_FILE or SSL_CERT_DIR name nothing that can be read. */
export async function loadDefaultTrust(env: Readonly<Record<string, string | undefined>>): Promise<string> {
  const { SSL_CERT_FILE: file, SSL_CERT_DIR: directories } = env;
  const parts: string[] = [];
  if (file !== undefined && file !== '') parts.push(await readPem(file, 'SSL_CERT_FILE'));
  for (const directory of (directories ?? '').split(':').filter((entry) => entry !== '')) {
    const names = await readdir(directory).catch((cause: Error) => {
      throw new ConfigError(`Cannot read SSL_CERT_DIR ${directory}: ${cause.message}`, { cause });
    });
    for (const name of names.sort()) {
      // A directory of certificates may hold anything else beside them.
      const text = await readFile(join(directory, name), 'utf8').catch(() => '');
      if (text.includes('-----BEGIN CERTIFICATE-----')) parts.push(text);
    }
  }
  if (parts.length > 0) return parts.join('\n');
  const system = getCACertificates('system');
  return (system.length > 0 ? system : getCACertificates('bundled')).join('\n');
}

async function readPem(path: string, variable: string): Promise<string> {
  const text = await readFile(path, 'utf8').catch((cause: Error) => {
    throw new ConfigError(`Cannot read ${variable} ${path}: ${cause.message}`, { cause });
  });
  if (!text.includes('-----BEGIN CERTIFICATE-----')) {
    throw new ConfigError(`Cannot use ${variable} ${path}: it holds no certificate`);
  }
  return text;
}
