/**
 * Faults of CFSSL that no server makes by itself, made by a proxy in front of a real one, and what becomes of issuer and
 * request: one row a fault. When the fault is over, every request that waited is issued.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { CERTIFICATE_REQUESTS, type CertificateRequest } from '../src/api/index.ts';
import { isReady, type ObjectWithConditions, resourceOf } from '../tools/cluster.ts';
import type { Cfssl } from '../tools/servers/index.ts';
import {
  answer,
  answerEndlessly,
  type CfsslProxy,
  type Fault,
  hang,
  issueWrongly,
  refuse,
  resetAfterSigning,
  startCfsslProxy,
  succeed,
  succeedWithMessage,
} from './support/cfssl-proxy.ts';
import {
  createNamespace,
  createRequest,
  type Environment,
  getEnvironment,
  issuerManifests,
  judgeRequest,
  readyOf,
  waitForReason,
} from './support/environment.ts';

type Outcome =
  /** The request failed for good; the issuer stayed Ready. */
  | { readonly failed: RegExp }
  /** The request waits and is tried again; the issuer stayed Ready. */
  | { readonly retried: RegExp }
  /** The issuer is not Ready, the request waits. */
  | { readonly issuer: string; readonly message: RegExp }
  | 'issued';

interface Row {
  readonly fault: string;
  readonly of?: 'all calls';
  readonly make: (cfssl: Cfssl) => Fault;
  readonly outcome: Outcome;
  /** Signings that reach the server behind the proxy while the fault lasts. Default: none. */
  readonly signed?: number;
}

const nested = JSON.stringify({
  success: false,
  result: null,
  errors: [{ code: 5500, message: 'Request does not match policy whitelist' }],
  messages: [],
});

const rows: readonly Row[] = [
  // Of signings alone: the probe tells that the issuer is all right.
  { fault: 'no answer', make: () => hang, outcome: { retried: /did not answer in time/ } },
  {
    fault: 'a reset after the signing',
    make: () => resetAfterSigning,
    outcome: { retried: /connection broke before the answer was complete/ },
    signed: 1,
  },
  {
    fault: '502 with HTML',
    make: () => answer(502, '<html>Bad Gateway</html>'),
    outcome: { retried: /unavailable.*HTTP 502/ },
  },
  { fault: '500', make: () => refuse(500, 0, 'out of luck'), outcome: { retried: /the server failed.*"out of luck"/ } },
  { fault: '503', make: () => answer(503, ''), outcome: { retried: /HTTP 503/ } },
  {
    fault: 'HTML with 200',
    make: () => answer(200, '<html>Welcome</html>'),
    outcome: { retried: /not what CFSSL gives/ },
  },
  { fault: 'an endless answer', make: () => answerEndlessly, outcome: { retried: /not what CFSSL gives/ } },
  { fault: 'success without a certificate', make: () => succeed({}), outcome: { retried: /not what CFSSL gives/ } },
  { fault: 'database trouble', make: () => refuse(400, 11_000, 'no such table'), outcome: { retried: /database/ } },
  { fault: '413', make: () => answer(413, ''), outcome: { failed: /too large/ } },
  { fault: 'a refusal nested in 7400', make: () => refuse(400, 7400, nested), outcome: { failed: /whitelist/ } },
  {
    fault: 'message 5300 beside the certificate',
    make: () =>
      succeedWithMessage(5300, 'This request requires a bundler, but one is not initialized for the API server.'),
    outcome: 'issued',
    signed: 1,
  },
  {
    fault: 'a certificate without a name of the CSR',
    make: (cfssl) => issueWrongly(cfssl, 'missing name'),
    outcome: { failed: /CSR asks for DNS:test\.example, which the certificate lacks; .* has DNS:other\.example/ },
  },
  ...(
    [
      ['other key', /another public key/],
      ['CA flag', /is a CA, which the request does not ask for/],
      ['expired', /already expired/],
      ['other signer', /signed by none of the known CA certificates/],
      ['CT poison', /precertificate/],
    ] as const
  ).map(
    ([what, message]): Row => ({
      fault: `a certificate with ${what}`,
      make: (cfssl) => issueWrongly(cfssl, what),
      outcome: { issuer: 'CertificateMismatch', message },
    }),
  ),

  // Of all calls: the issuer is not what it was.
  {
    fault: 'no answer to anything',
    of: 'all calls',
    make: () => hang,
    outcome: { issuer: 'Unreachable', message: /in time/ },
  },
  {
    fault: '301 to elsewhere',
    of: 'all calls',
    make: () => answer(301, '', { location: 'http://127.0.0.1:1/' }),
    outcome: { issuer: 'NotCFSSL', message: /redirects/ },
  },
  {
    fault: '307 to elsewhere',
    of: 'all calls',
    make: () => answer(307, '', { location: 'http://127.0.0.1:1/' }),
    outcome: { issuer: 'NotCFSSL', message: /redirects/ },
  },
  {
    fault: '404',
    of: 'all calls',
    make: () => answer(404, '404 page not found\n'),
    outcome: { issuer: 'NotCFSSL', message: /404/ },
  },
  {
    fault: 'a proxy page',
    of: 'all calls',
    make: () => answer(200, '<html>\u001b[31mLogin %s\0</html>'),
    outcome: { issuer: 'NotCFSSL', message: /not what CFSSL gives/ },
  },
  {
    fault: 'a refused token',
    of: 'all calls',
    make: () => refuse(400, 1, 'invalid token'),
    outcome: { issuer: 'AuthenticationFailed', message: /check the field "key" of Secret/ },
  },
];

describe('a fault of CFSSL', () => {
  let environment: Environment;
  let proxy: CfsslProxy;
  before(async () => {
    environment = await getEnvironment('bare');
    proxy = await startCfsslProxy(environment.cfssl);
  });
  after(() => proxy.close());

  for (const { fault, of, make, outcome, signed = 0 } of rows) {
    test(`${fault}: ${describeOutcome(outcome)}`, async () => {
      const { cluster, cfssl } = environment;
      const namespace = await createNamespace(cluster, 'fault');
      const spec = { url: proxy.url, timeout: '500ms' };
      const { secret, issuer } = issuerManifests(cfssl, { name: 'ca', namespace, spec });
      const issuerAt = { resource: resourceOf(issuer), namespace, name: 'ca' };
      await cluster.create(secret);
      await cluster.create(issuer);
      await cluster.waitFor<ObjectWithConditions>(issuerAt, (found) => isReady(found));

      const forwardedBefore = proxy.forwarded;
      const receivedBefore = proxy.received;
      proxy.fault = { of: of ?? 'signings', make: make(cfssl) };
      const at = { namespace, name: 'request' };
      await createRequest(cluster, { ...at, issuerRef: { kind: 'Issuer', name: 'ca' } });
      await judgeRequest(cluster, at, 'Approved');
      const request = await cluster.waitFor<CertificateRequest>({ resource: CERTIFICATE_REQUESTS, ...at }, (found) =>
        hasCome(found, outcome),
      );
      assert.equal(proxy.forwarded - forwardedBefore, signed, 'signings that reached the server');
      assert.ok(proxy.received - receivedBefore <= 2, 'no storm');

      const found = await cluster.client.get<ObjectWithConditions>(resourceOf(issuer), { namespace, name: 'ca' });
      if (typeof outcome === 'object' && 'issuer' in outcome) {
        assert.equal(readyOf(found)?.reason, outcome.issuer);
        assert.match(readyOf(found)?.message ?? '', outcome.message);
        assert.match(readyOf(found)?.message ?? '', /^\P{C}*$/u, 'printable');
      } else {
        assert.equal(isReady(found), true, JSON.stringify(readyOf(found)));
      }

      proxy.fault = undefined;
      if (typeof outcome === 'object' && 'failed' in outcome) return;
      if (typeof outcome === 'object' && 'issuer' in outcome && outcome.issuer === 'CertificateMismatch') {
        // It would issue another wrong certificate at each try: only a change of the configuration makes it try again.
        const patch = { metadata: { labels: { touched: 'yes' } }, stringData: { note: 'mended' } };
        await cluster.client.mergePatch(resourceOf(secret), { namespace, name: 'ca-key' }, patch);
      }
      assert.notEqual(readyOf(request)?.reason, 'Failed');
      await waitForReason(cluster, at, 'Issued');
    });
  }
});

function hasCome(request: CertificateRequest, outcome: Outcome): boolean {
  const ready = readyOf(request);
  const message = ready?.message ?? '';
  if (outcome === 'issued') return ready?.reason === 'Issued';
  if ('failed' in outcome) return ready?.reason === 'Failed' && outcome.failed.test(message);
  if ('retried' in outcome) return ready?.reason === 'Pending' && outcome.retried.test(message);
  return ready?.reason === 'Pending' && message.includes(`"${outcome.issuer}"`);
}

function describeOutcome(outcome: Outcome): string {
  if (outcome === 'issued') return 'the certificate is issued';
  if ('failed' in outcome) return 'the request fails, the issuer stays Ready';
  return 'retried' in outcome
    ? 'the request is tried again, the issuer stays Ready'
    : `the issuer is ${outcome.issuer}`;
}
