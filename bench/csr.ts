/**
 * `node bench/csr.ts`: what reading and verifying one CSR costs us and @peculiar/x509, alternating in one run, and
 * whether our time grows linearly with the number of names. Budget: P-256, at most a third of @peculiar/x509's time.
 */
import 'reflect-metadata';
import { generateKeyPairSync, type webcrypto } from 'node:crypto';
import * as peculiar from '@peculiar/x509';
import { encodePem, parseCsr, verifyCsr } from '../src/x509/index.ts';

const ROUNDS = 7;
const OPERATIONS = 300;

const ALGORITHMS = {
  'P-256': { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' },
  'RSA-2048': { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
  Ed25519: { name: 'Ed25519' },
} as const;

type Kind = keyof typeof ALGORITHMS;

function newKeys(kind: Kind): webcrypto.CryptoKeyPair {
  const algorithm = ALGORITHMS[kind];
  const { privateKey, publicKey } = {
    'P-256': () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    'RSA-2048': () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
    Ed25519: () => generateKeyPairSync('ed25519'),
  }[kind]();
  return {
    privateKey: privateKey.toCryptoKey(algorithm, true, ['sign']),
    publicKey: publicKey.toCryptoKey(algorithm, true, ['verify']),
  };
}

async function newCsr(kind: Kind, names: number): Promise<string> {
  const dnsNames = Array.from({ length: names }, (_, index) => `name-${index}.namespace.svc.cluster.local`);
  const request = await peculiar.Pkcs10CertificateRequestGenerator.create({
    name: 'CN=name.namespace.svc, O=Example',
    keys: newKeys(kind),
    signingAlgorithm: ALGORITHMS[kind],
    extensions: [
      new peculiar.SubjectAlternativeNameExtension(dnsNames.map((value) => ({ type: 'dns', value }))),
      new peculiar.KeyUsagesExtension(peculiar.KeyUsageFlags.digitalSignature),
    ],
  });
  return encodePem('CERTIFICATE REQUEST', new Uint8Array(request.rawData));
}

function readByUs(pem: string): void {
  verifyCsr(parseCsr(pem));
}

async function readByPeculiar(pem: string): Promise<void> {
  const csr = new peculiar.Pkcs10CertificateRequest(pem);
  const san = csr.getExtension('2.5.29.17');
  if (san === null || !(await csr.verify())) throw new Error('@peculiar/x509 does not read the request');
}

/** Microseconds for one call: the median of the rounds. */
function median(roundsUs: readonly number[]): number {
  return roundsUs.toSorted((a, b) => a - b)[Math.floor(roundsUs.length / 2)] ?? Number.NaN;
}

async function measure(action: () => unknown): Promise<number> {
  const start = performance.now();
  for (let index = 0; index < OPERATIONS; index += 1) await action();
  return ((performance.now() - start) * 1000) / OPERATIONS;
}

console.log(`one CSR of 3 DNS names, microseconds, median of ${ROUNDS} alternating rounds of ${OPERATIONS}`);
console.log('key        parse+verify   parse only   @peculiar/x509   ratio');
for (const kind of Object.keys(ALGORITHMS) as Kind[]) {
  const pem = await newCsr(kind, 3);
  const [whole, parse, theirs]: number[][] = [[], [], []];
  for (let round = 0; round < ROUNDS; round += 1) {
    whole?.push(await measure(() => readByUs(pem)));
    parse?.push(await measure(() => parseCsr(pem)));
    theirs?.push(await measure(() => readByPeculiar(pem)));
  }
  const figures = [median(whole ?? []), median(parse ?? []), median(theirs ?? [])] as const;
  const ratio = (figures[0] / figures[2]).toFixed(2);
  const columns = figures.map((figure, index) => figure.toFixed(1).padStart([12, 12, 16][index] ?? 12));
  console.log(`${kind.padEnd(11)}${columns.join(' ')}   ${ratio.padStart(5)}`);
}

console.log('\nnames in the CSR   parse, microseconds   per name');
for (const names of [10, 100, 1000, 4000]) {
  const pem = await newCsr('P-256', names);
  const rounds: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) rounds.push(await measure(() => parseCsr(pem)));
  const figure = median(rounds);
  console.log(
    `${String(names).padStart(16)}   ${figure.toFixed(1).padStart(19)}   ${(figure / names).toFixed(3).padStart(8)}`,
  );
}
