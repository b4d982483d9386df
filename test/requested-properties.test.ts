/** What a request asks for beyond its names, and how CFSSL's servers give it, or how people learn that they cannot. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Certificate, parseCertificates } from '../src/x509/index.ts';
import { type ObjectWithConditions, resourceOf } from '../tools/cluster.ts';
import { type Cfssl, startCfsslServe } from '../tools/servers/index.ts';
import type { CsrOptions } from './support/csr.ts';
import {
  createNamespace,
  createReadyIssuer,
  createRequest,
  type Environment,
  getEnvironment,
  issuerManifests,
  judgeRequest,
  readyOf,
  waitForReason,
} from './support/environment.ts';
import { type Event, waitForEvent } from './support/events.ts';

const DAY_MS = 86_400_000;
const TOLERANCE_MS = 30_000;

/** A namespace with the Issuer `ca` of that spec, Ready. */
async function startIssuerOf(environment: Environment, cfssl: Cfssl, spec: object): Promise<string> {
  const { cluster } = environment;
  const namespace = await createNamespace(cluster, 'requested');
  await createReadyIssuer(cluster, cfssl, { namespace, spec });
  return namespace;
}

interface Asked {
  readonly namespace: string;
  readonly csr?: CsrOptions;
  /** Fields of the CertificateRequest's spec. */
  readonly spec?: object;
}

async function request({ cluster }: Environment, { namespace, csr, spec }: Asked): Promise<{ name: string }> {
  const at = { namespace, name: 'request' };
  const issuerRef = { kind: 'Issuer', name: 'ca' };
  await createRequest(cluster, { ...at, issuerRef, ...(csr && { csr }), ...(spec && { spec }) });
  await judgeRequest(cluster, at, 'Approved');
  return at;
}

async function issue(environment: Environment, asked: Asked): Promise<Certificate> {
  const { name } = await request(environment, asked);
  const { status } = await waitForReason(environment.cluster, { namespace: asked.namespace, name }, 'Issued');
  const [leaf] = parseCertificates(Buffer.from(status?.certificate ?? '', 'base64').toString());
  assert.ok(leaf !== undefined);
  return leaf;
}

async function warningsAbout(environment: Environment, namespace: string): Promise<readonly string[]> {
  const about = { namespace, kind: 'CertificateRequest', name: 'request' };
  const events: readonly Event[] = await waitForEvent(environment.cluster, about, 'UnexpectedCertificate');
  return events.filter(({ reason }) => reason === 'UnexpectedCertificate').map(({ note }) => note);
}

describe('spec.maxDuration', () => {
  const cases = [
    ['the duration of the request', '48h', 2 * DAY_MS],
    ['no more than the maximum', '720h', 10 * DAY_MS],
    ['what the profile says, to a request that wants none', undefined, 365 * DAY_MS],
  ] as const;
  for (const [name, duration, expectedMs] of cases) {
    test(`gives ${name}`, async () => {
      const environment = await getEnvironment('bare');
      const namespace = await startIssuerOf(environment, environment.cfssl, { maxDuration: '240h' });
      const spec = duration === undefined ? {} : { duration };
      const { notBeforeMs, notAfterMs } = await issue(environment, { namespace, spec });
      assert.ok(Math.abs(notAfterMs - notBeforeMs - expectedMs) <= TOLERANCE_MS, `${notAfterMs - notBeforeMs} ms`);
      assert.ok(notBeforeMs <= Date.now());
    });
  }

  test('gives nothing beyond the end of the CA', async () => {
    const environment = await getEnvironment('bare');
    const { cfssl } = environment;
    const namespace = await startIssuerOf(environment, cfssl, { maxDuration: '876000h' });
    const { notAfterMs } = await issue(environment, { namespace, spec: { duration: '876000h' } });
    const [ca] = parseCertificates(cfssl.intermediatePems.intermediate1);
    assert.equal(notAfterMs, ca?.notAfterMs);
  });

  test('that cfssl serve ignores is told once on the issuer, and on a request that is not given its duration', async () => {
    const environment = await getEnvironment('bare');
    await using serve = await startCfsslServe();
    const namespace = await startIssuerOf(environment, serve, { maxDuration: '240h' });
    await waitForEvent(environment.cluster, { namespace, kind: 'Issuer', name: 'ca' }, 'DurationIgnored');
    const { notBeforeMs, notAfterMs } = await issue(environment, { namespace, spec: { duration: '48h' } });
    assert.equal(notAfterMs - notBeforeMs, 365 * DAY_MS);
    assert.deepEqual(await warningsAbout(environment, namespace), [
      'The certificate ends later than CFSSL was asked to have it end',
    ]);
  });
});

describe('spec.caProfile', () => {
  const csr = { commonName: 'Sub CA', dnsNames: ['sub.example'], isCa: true };

  test('signs requests for a CA, with their names, and no others', async () => {
    const environment = await getEnvironment('bare');
    const namespace = await startIssuerOf(environment, environment.cfssl, { caProfile: 'ca' });
    const ca = await issue(environment, { namespace, csr, spec: { isCA: true } });
    assert.equal(ca.isCa, true);
    assert.deepEqual(ca.names, [{ kind: 'dns', value: 'sub.example' }]);
    const other = await startIssuerOf(environment, environment.cfssl, { caProfile: 'ca' });
    assert.equal((await issue(environment, { namespace: other })).isCa, false);
  });

  test('is needed for them', async () => {
    const environment = await getEnvironment('bare');
    const namespace = await startIssuerOf(environment, environment.cfssl, {});
    const at = { namespace, ...(await request(environment, { namespace, csr, spec: { isCA: true } })) };
    await waitForReason(environment.cluster, at, 'Failed');
  });

  test('that does not exist shows on the issuer', async () => {
    const environment = await getEnvironment('bare');
    const { cluster, cfssl } = environment;
    const namespace = await createNamespace(cluster, 'requested');
    const { secret, issuer } = issuerManifests(cfssl, { name: 'ca', namespace, spec: { caProfile: 'sub-ca' } });
    await cluster.create(secret);
    await cluster.create(issuer);
    const at = { resource: resourceOf(issuer), namespace, name: 'ca' };
    const found = await cluster.waitFor<ObjectWithConditions>(at, (now) => readyOf(now)?.reason === 'UnknownProfile');
    assert.match(readyOf(found)?.message ?? '', /check spec\.caProfile: the server has no profile "sub-ca"/);
  });
});

describe('what CFSSL cannot give is told once on the request', () => {
  test('a literal subject', async () => {
    const environment = await getEnvironment('bare');
    const namespace = await startIssuerOf(environment, environment.cfssl, {});
    await issue(environment, { namespace, csr: { subject: 'CN=web,OU=b,OU=a,O=Example' } });
    assert.deepEqual(await warningsAbout(environment, namespace), [
      'CFSSL sorts subjects: the CSR asks for CN=web, OU=b, OU=a, O=Example, in this order, the certificate has O=Example, OU=a+OU=b, CN=web',
    ]);
  });

  test('usages', async () => {
    const environment = await getEnvironment('bare');
    const namespace = await startIssuerOf(environment, environment.cfssl, {});
    await issue(environment, { namespace, spec: { usages: ['server auth', 'code signing'] } });
    assert.deepEqual(await warningsAbout(environment, namespace), [
      'The request asks for usages code signing, which the certificate lacks',
    ]);
  });

  test('a validity that is worth a renewal', async () => {
    const environment = await getEnvironment('bare');
    const namespace = await startIssuerOf(environment, environment.cfssl, { profile: 'server-brief' });
    await issue(environment, { namespace });
    assert.deepEqual(await warningsAbout(environment, namespace), [
      'Two thirds of the validity are over already, so cert-manager renews the certificate over and over; give the profile a longer expiry',
    ]);
  });
});
