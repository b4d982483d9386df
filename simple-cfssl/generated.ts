/**
 * A configuration made on the spot: a root, two intermediates, each a label, profiles and their keys. It has the form of
 * the files that multirootca reads, so there is one way to load a configuration, and a kept one serves multirootca too.
 */
import { randomBytes, webcrypto } from 'node:crypto';
import { join } from 'node:path';
import { toDate } from './go/time.ts';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from './x509-library.ts';

export interface GeneratedFiles {
  readonly rootsFile: string;
  readonly rootCertificate: string;
  readonly tlsCertificate: string;
  readonly tlsKey: string;
  /** Contents by path. */
  readonly files: ReadonlyMap<string, string>;
}

interface KeyedCertificate {
  readonly name: string;
  readonly keys: webcrypto.CryptoKeyPair;
  readonly certificatePem: string;
}

const LABELS = ['intermediate1', 'intermediate2'] as const;
const SERVER_USAGES = ['digital signature', 'key encipherment', 'server auth', 'client auth'];
const CONFIGURATION = {
  signing: {
    default: { usages: SERVER_USAGES, expiry: '8760h', auth_key: 'server' },
    profiles: {
      server: { usages: SERVER_USAGES, expiry: '8760h', auth_key: 'server' },
      'server-short': { usages: SERVER_USAGES, expiry: '10m', auth_key: 'server' },
      whitelist: {
        usages: SERVER_USAGES,
        expiry: '8760h',
        auth_key: 'server',
        name_whitelist: String.raw`^[a-z0-9.-]+\.allowed\.example$`,
      },
      client: { usages: ['digital signature', 'client auth'], expiry: '8760h', auth_key: 'client' },
      ca: {
        usages: ['cert sign', 'crl sign'],
        expiry: '8760h',
        auth_key: 'server',
        ca_constraint: { is_ca: true, max_path_len: 0, max_path_len_zero: true },
      },
    },
  },
};

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
/** Certificates count from an hour ago, so that clocks need not agree. */
const BACKDATE_MS = 3_600_000;
const LIFE_MS = 10 * 365 * 24 * 3_600_000;

/** The paths of the files in `folder`; of the one that is loaded first, and of those for TLS. */
export function generatedPaths(folder: string): Omit<GeneratedFiles, 'files'> {
  return {
    rootsFile: join(folder, 'multiroot.conf'),
    rootCertificate: join(folder, 'ca.pem'),
    tlsCertificate: join(folder, 'tls.pem'),
    tlsKey: join(folder, 'tls-key.pem'),
  };
}

/** Makes everything anew. @param folder where the files are to be found; nothing is written */
export async function generateFiles(folder: string, nowMs: number): Promise<GeneratedFiles> {
  const paths = generatedPaths(folder);
  const configPath = join(folder, 'config.json');
  const authKeys = Object.fromEntries(
    ['server', 'client'].map((name) => [name, { type: 'standard', key: randomBytes(32).toString('hex') }]),
  );
  const root = await createAuthority('simple-cfssl Root', undefined, nowMs);
  const tls = await createTlsCertificate(root, nowMs);
  const files = new Map([
    [paths.rootCertificate, root.certificatePem],
    [paths.tlsCertificate, tls.certificatePem],
    [paths.tlsKey, await exportKey(tls.keys)],
    [configPath, `${JSON.stringify({ ...CONFIGURATION, auth_keys: authKeys }, undefined, 2)}\n`],
  ]);
  const sections: string[] = [];
  for (const [index, label] of LABELS.entries()) {
    const authority = await createAuthority(`simple-cfssl Intermediate ${index + 1}`, root, nowMs);
    const certificatePath = join(folder, `${label}.pem`);
    const keyPath = join(folder, `${label}-key.pem`);
    files.set(certificatePath, authority.certificatePem);
    files.set(keyPath, await exportKey(authority.keys));
    sections.push(
      `[ ${label} ]\n` +
        `private = file://${keyPath}\n` +
        `certificate = ${certificatePath}\n` +
        `config = ${configPath}\n` +
        `ca = ${paths.rootCertificate}\n`,
    );
  }
  files.set(paths.rootsFile, sections.join('\n'));
  return { ...paths, files };
}

/** A root, or an intermediate of `issuer`. */
async function createAuthority(
  name: string,
  issuer: KeyedCertificate | undefined,
  nowMs: number,
): Promise<KeyedCertificate> {
  const keys = await createKeys();
  return certify({ name, keys, issuer: issuer ?? { name, keys }, nowMs }, [
    new BasicConstraintsExtension(true, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
  ]);
}

async function createTlsCertificate(issuer: KeyedCertificate, nowMs: number): Promise<KeyedCertificate> {
  const names = [
    { type: 'dns', value: 'localhost' },
    { type: 'ip', value: '127.0.0.1' },
    { type: 'ip', value: '::1' },
  ] as const;
  return certify({ name: 'simple-cfssl', keys: await createKeys(), issuer, nowMs }, [
    new BasicConstraintsExtension(false, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
    new ExtendedKeyUsageExtension(['1.3.6.1.5.5.7.3.1']),
    new SubjectAlternativeNameExtension([...names]),
  ]);
}

interface Certification {
  readonly name: string;
  readonly keys: webcrypto.CryptoKeyPair;
  readonly issuer: Pick<KeyedCertificate, 'name' | 'keys'>;
  readonly nowMs: number;
}

async function certify({ name, keys, issuer, nowMs }: Certification, own: Extension[]): Promise<KeyedCertificate> {
  const certificate = await X509CertificateGenerator.create({
    // The first byte keeps the number positive
    serialNumber: `01${randomBytes(15).toString('hex')}`,
    subject: [{ CN: [name] }],
    issuer: [{ CN: [issuer.name] }],
    notBefore: toDate(nowMs - BACKDATE_MS),
    notAfter: toDate(nowMs - BACKDATE_MS + LIFE_MS),
    publicKey: keys.publicKey,
    signingKey: issuer.keys.privateKey,
    signingAlgorithm: ALGORITHM,
    extensions: [
      ...own,
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
      ...(issuer.keys === keys ? [] : [await AuthorityKeyIdentifierExtension.create(issuer.keys.publicKey)]),
    ],
  });
  return { name, keys, certificatePem: `${certificate.toString('pem')}\n` };
}

function createKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
}

async function exportKey({ privateKey }: webcrypto.CryptoKeyPair): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', privateKey)).toString('base64');
  return `-----BEGIN PRIVATE KEY-----\n${(der.match(/.{1,64}/g) ?? []).join('\n')}\n-----END PRIVATE KEY-----\n`;
}
