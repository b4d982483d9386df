/**
 * CSRs of any size and answers of CFSSL of any kind: the program does not crash, does not storm, says what is true in words
 * that a terminal can stand, and loses nothing.
 */
import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey, randomBytes } from 'node:crypto';
import { after, afterEach, before, describe, test } from 'node:test';
import { CERTIFICATE_REQUESTS, type CertificateRequest, ISSUERS } from '../src/api/index.ts';
import { EVENTS } from '../src/kubernetes/index.ts';
import { encodePem, parseCertificates, parseCsr } from '../src/x509/index.ts';
import { certificateDer, csrDer, dns, extension, newKey, san } from '../src/x509/testing/authority.ts';
import { isReady, resourceOf } from '../tools/cluster.ts';
import { answer, type Fault, refuse, succeed, succeedWithMessage } from './support/cfssl-proxy.ts';
import { judgeRequest, readyOf, waitForReason } from './support/environment.ts';
import { type Event, waitForEvent } from './support/events.ts';
import { assertTellable, Stage, UNPRINTABLE } from './support/stage.ts';

const MIB = 1 << 20;

let stage: Stage;

describe('the program withstands what is signed and answered:', () => {
  before(async () => {
    stage = await Stage.start();
  });
  afterEach(() => stage.assertWell());
  after(() => stage[Symbol.asyncDispose]());

  /** Creates an approved request with exactly this as its CSR. */
  async function createRaw(namespace: string, name: string, csr: string | Uint8Array): Promise<void> {
    await stage.cluster.create({
      apiVersion: 'cert-manager.io/v1',
      kind: 'CertificateRequest',
      metadata: { namespace, name },
      spec: {
        request: Buffer.from(csr as Uint8Array).toString('base64'),
        issuerRef: { group: 'cfssl-issuer.wikimedia.org', kind: 'Issuer', name: 'ca' },
      },
    });
    await judgeRequest(stage.cluster, { namespace, name }, 'Approved');
  }

  async function assertIssues(namespace: string, name: string): Promise<void> {
    await stage.createApproved(namespace, name);
    await waitForReason(stage.cluster, { namespace, name }, 'Issued');
  }

  describe('CSRs of 1 MiB', () => {
    const names = (count: number): Uint8Array =>
      csrDer({
        key: newKey(),
        extensions: [san(...Array.from({ length: count }, (_, at) => dns(`host-${at}.example`)))],
      });
    const rows: readonly (readonly [name: string, csr: () => string | Uint8Array])[] = [
      ['noise', () => randomBytes(MIB)],
      ['pem-of-noise', () => encodePem('CERTIFICATE REQUEST', randomBytes((MIB * 3) / 4))],
      ['dashes', () => '-----BEGIN CERTIFICATE REQUEST-----\n'.repeat(29_000)],
      ['many-names', () => encodePem('CERTIFICATE REQUEST', names(36_000))],
      ['nested', () => encodePem('CERTIFICATE REQUEST', Buffer.alloc((MIB * 3) / 4, 0x30))],
      ['escapes', () => '\u001b[31m\u0000%s😀\n'.repeat(50_000)],
    ];

    test('fail at once, with the reason, and never reach CFSSL', async () => {
      const namespace = await stage.createReadyIssuer();
      const receivedBefore = stage.proxy.received;
      await Promise.all(rows.map(([name, csr]) => createRaw(namespace, name, csr())));
      for (const [name] of rows) {
        const failed = await waitForReason(stage.cluster, { namespace, name }, 'Failed');
        const { message } = assertTellable(readyOf(failed));
        assert.match(message ?? '', /^Failed permanently to sign CertificateRequest: Cannot parse CSR: /, name);
        assert.ok((message ?? '').length < 300);
      }
      assert.equal(stage.proxy.received, receivedBefore);
      assert.equal(isReady(await stage.getIssuer(namespace)), true);
    });

    test('and one of the largest that are read is issued, once', async () => {
      const namespace = await stage.createReadyIssuer();
      const forwardedBefore = stage.proxy.forwarded;
      await createRaw(namespace, 'large', encodePem('CERTIFICATE REQUEST', names(11_000)));
      await waitForReason(stage.cluster, { namespace, name: 'large' }, 'Issued');
      assert.equal(stage.proxy.forwarded - forwardedBefore, 1);
    });
  });

  describe('certificates of 1 MiB', () => {
    const bloat = (bytes: number): Fault => {
      return (call) => {
        const csr = parseCsr(call.csrPem ?? '');
        const { keyPem, certificatePem } = stage.cfssl.ca.intermediates.intermediate1;
        const [signer] = parseCertificates(certificatePem);
        const spki = { key: Buffer.from(csr.spkiDer), format: 'der', type: 'spki' } as const;
        const time = (ms: number): string => new Date(ms).toISOString().replaceAll(/[-:T]|\.\d+/g, '');
        const der = certificateDer({
          key: { publicKey: createPublicKey(spki), privateKey: createPrivateKey(keyPem) },
          issuer: {
            key: { publicKey: createPublicKey(certificatePem), privateKey: createPrivateKey(keyPem) },
            subject: signer?.subjectDer ?? Buffer.of(),
          },
          extensions: [san(...csr.names.map(({ value }) => dns(value))), extension('1.2.3.4', randomBytes(bytes))],
          notBefore: time(Date.now() - 300_000),
          notAfter: time(Date.now() + 3_600_000),
        });
        return succeed({ certificate: encodePem('CERTIFICATE', der) })(call);
      };
    };
    const rows: readonly {
      readonly what: string;
      readonly make: Fault;
      readonly outcome: 'retried' | 'mismatch';
    }[] = [
      { what: 'an answer of more', make: succeed({ certificate: 'x'.repeat(2 * MIB) }), outcome: 'retried' },
      { what: 'rubbish', make: succeed({ certificate: '\u001b\u0000😀'.repeat(60_000) }), outcome: 'retried' },
      {
        what: 'PEM of rubbish',
        make: succeed({ certificate: encodePem('CERTIFICATE', randomBytes(600_000)) }),
        outcome: 'retried',
      },
      { what: 'a right one with 700 KB of extension', make: bloat(700_000), outcome: 'mismatch' },
    ];

    for (const { what, make, outcome } of rows) {
      test(`${what}: nothing is handed out, the request waits, and is issued when the fault is over`, async () => {
        const namespace = await stage.createReadyIssuer();
        const receivedBefore = stage.proxy.received;
        stage.proxy.fault = { of: 'signings', make };
        const at = { namespace, name: 'request' };
        await stage.createApproved(namespace, 'request');
        const wanted = outcome === 'retried' ? /will retry: .*not what CFSSL gives/ : /"CertificateMismatch": /;
        const waiting = await stage.cluster.waitFor<CertificateRequest>(
          { resource: CERTIFICATE_REQUESTS, ...at },
          (found) => wanted.test(readyOf(found)?.message ?? ''),
        );
        assertTellable(readyOf(waiting));
        assert.equal(waiting.status?.certificate, undefined);
        assert.ok(stage.proxy.received - receivedBefore <= 2, 'no storm');
        const issuer = await stage.getIssuer(namespace);
        assertTellable(readyOf(issuer));
        assert.equal(isReady(issuer), outcome === 'retried');
        stage.proxy.fault = undefined;
        if (outcome === 'mismatch') {
          const secrets = resourceOf({ apiVersion: 'v1', kind: 'Secret' });
          await stage.cluster.client.mergePatch(
            secrets,
            { namespace, name: 'ca-key' },
            { stringData: { note: 'new' } },
          );
        }
        await waitForReason(stage.cluster, at, 'Issued');
      });
    }

    test('as that of the CA: the issuer tells it, and is Ready when it is over', async () => {
      const namespace = await stage.createReadyIssuer({ healthCheckInterval: '1s' });
      const make = succeed({ certificate: encodePem('CERTIFICATE', randomBytes(600_000)), usages: null, expiry: '' });
      const pass: Fault = async ({ response, forward }) => {
        const { status, contentType, body } = await forward();
        response.writeHead(status, { 'content-type': contentType }).end(body);
      };
      stage.proxy.fault = { of: 'all calls', make: (call) => (call.csrPem === undefined ? make(call) : pass(call)) };
      await stage.waitForProblem({ resource: ISSUERS, namespace, name: 'ca' }, 'NotCFSSL');
      stage.proxy.fault = undefined;
      await assertIssues(namespace, 'request');
    });
  });

  describe("%, newlines, ANSI escapes, NUL and emoji in CFSSL's messages", () => {
    const NOISE = '100%s %n%d\r\n\u001b[2J\u001b]0;title\u0007\u0000\u009b31m\u202e\u2028😀💥\ud83d'.repeat(200);

    /** Nothing of it may come through as it is, but what can be read does. */
    async function assertEventsTellable(namespace: string, reason: string, name = 'request'): Promise<void> {
      const kind = name === 'ca' ? 'Issuer' : 'CertificateRequest';
      await waitForEvent(stage.cluster, { namespace, kind, name }, reason);
      const { items } = await stage.cluster.client.list<Event>(EVENTS, { namespace });
      for (const { note } of items) {
        assert.doesNotMatch(note, UNPRINTABLE);
        assert.ok(Buffer.byteLength(note) <= 1_024);
      }
    }

    for (const [what, make, wanted, event] of [
      ['a refusal of a kind that is not known', refuse(400, 1, NOISE), /will retry: .*"100%s %n%d/, 'RetryableError'],
      ['a failure', refuse(500, 0, NOISE), /will retry: .*"100%s %n%d/, 'RetryableError'],
      ['a page in place of an answer', answer(502, NOISE), /will retry: .*"100%s %n%d/, 'RetryableError'],
      ['a refusal of the request', refuse(400, 9002, NOISE), /^Failed permanently .*"100%s %n%d/, 'PermanentError'],
    ] as const) {
      test(`${what}: the request tells it in one readable line`, async () => {
        const namespace = await stage.createReadyIssuer();
        const receivedBefore = stage.proxy.received;
        stage.proxy.fault = { of: 'signings', make };
        const at = { namespace, name: 'request' };
        await stage.createApproved(namespace, 'request');
        const told = await stage.cluster.waitFor<CertificateRequest>(
          { resource: CERTIFICATE_REQUESTS, ...at },
          (found) => wanted.test(readyOf(found)?.message ?? ''),
        );
        assertTellable(readyOf(told));
        assert.ok(stage.proxy.received - receivedBefore <= 2, 'no storm');
        await assertEventsTellable(namespace, event);
        const issuer = await stage.getIssuer(namespace);
        assert.equal(isReady(issuer), true);
        stage.proxy.fault = undefined;
        if (event === 'RetryableError') await waitForReason(stage.cluster, at, 'Issued');
      });
    }

    test('of all calls: the issuer tells it in one readable line, and is Ready when it is over', async () => {
      const namespace = await stage.createReadyIssuer({ healthCheckInterval: '1s' });
      stage.proxy.fault = { of: 'all calls', make: refuse(500, 0, NOISE) };
      const { message } = await stage.waitForProblem({ resource: ISSUERS, namespace, name: 'ca' }, 'TemporaryFailure');
      assert.match(message ?? '', /"100%s %n%d/);
      await assertEventsTellable(namespace, 'TemporaryFailure', 'ca');
      stage.proxy.fault = undefined;
      await assertIssues(namespace, 'request');
    });

    test('beside a certificate: it is issued', async () => {
      const namespace = await stage.createReadyIssuer();
      stage.proxy.fault = { of: 'signings', make: succeedWithMessage(5300, NOISE) };
      await assertIssues(namespace, 'request');
      await assertEventsTellable(namespace, 'Issued');
    });
  });
});
