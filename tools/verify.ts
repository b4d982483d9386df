// Whether what was issued is right, judged without the issuer's own code: by Node's OpenSSL on the published PEM.

import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { CertificateRequest } from '../src/api/index.ts';
import type { KubernetesObject } from '../src/kubernetes/index.ts';
import { type Cluster, type ObjectWithConditions, resourceOf } from './cluster.ts';

export interface KnownCas {
  readonly rootPem: string;
  readonly intermediatePems: readonly string[];
}

/** What was found right. */
export interface Verified {
  readonly leaf: X509Certificate;
  /** From the leaf up to the root, each one's signature verified with the next one's key. */
  readonly chain: readonly X509Certificate[];
  readonly ca: X509Certificate | undefined;
}

interface SecretObject extends KubernetesObject {
  readonly data: Readonly<Record<string, string>>;
}

/** Verifies the Secret of a Certificate: the chain up to the CA's root, and that the private key is the certificate's. */
export async function verifySecret(
  cluster: Cluster,
  certificate: ObjectWithConditions,
  known: KnownCas,
): Promise<Verified> {
  const { namespace } = certificate.metadata;
  const { secretName } = (certificate as unknown as { spec: { secretName: string } }).spec;
  const resource = resourceOf({ apiVersion: 'v1', kind: 'Secret' });
  const { data } = await cluster.client.get<SecretObject>(resource, { namespace, name: secretName });
  const verified = verifyChain(decode(data['tls.crt']), decode(data['ca.crt']), known);
  if (!verified.leaf.checkPrivateKey(createPrivateKey(decode(data['tls.key'])))) {
    throw new Error(`The key in Secret ${namespace}/${secretName} is not that of its certificate`);
  }
  return verified;
}

/** Verifies the certificate in the status of a CertificateRequest. */
export function verifyRequest(request: Pick<CertificateRequest, 'status'>, known: KnownCas): Verified {
  const { certificate, ca } = request.status ?? {};
  return verifyChain(decode(certificate), decode(ca), known);
}

function verifyChain(certificatePem: string, caPem: string, known: KnownCas): Verified {
  const [leaf, ...sent] = splitPem(certificatePem);
  const [ca] = splitPem(caPem);
  if (leaf === undefined) throw new Error('There is no certificate');
  const candidates = [...sent, ...[known.rootPem, ...known.intermediatePems].flatMap(splitPem)];
  const chain = [leaf];
  for (let top = leaf; top.subject !== top.issuer; ) {
    const lower = top;
    const issuer = candidates.find((candidate) => lower.checkIssued(candidate) && lower.verify(candidate.publicKey));
    if (issuer === undefined) throw new Error(`Nobody known issued "${top.subject}"`);
    chain.push(issuer);
    top = issuer;
  }
  if (chain.at(-1)?.fingerprint256 !== splitPem(known.rootPem)[0]?.fingerprint256) {
    throw new Error(`The chain of "${leaf.subject}" does not end at the root of CFSSL's CA`);
  }
  const nowMs = Date.now();
  for (const { subject, validFromDate, validToDate } of chain) {
    if (nowMs < validFromDate.getTime() || nowMs > validToDate.getTime())
      throw new Error(`"${subject}" is not valid now`);
  }
  if (ca !== undefined && !chain.some(({ fingerprint256 }) => fingerprint256 === ca.fingerprint256)) {
    throw new Error(`ca.crt of "${leaf.subject}" is not in its chain`);
  }
  return { leaf, chain, ca };
}

function splitPem(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new X509Certificate(block));
}

function decode(text: string | undefined): string {
  return Buffer.from(text ?? '', 'base64').toString('utf8');
}
