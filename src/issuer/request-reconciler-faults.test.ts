/** What becomes of a request whose signing fails, by whose fault it is. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { APPROVED } from '../../test/support/builders.ts';
import { cfsslError, issue, newCsr, signAnswer } from '../../test/support/signing.ts';
import { unavailable } from '../../test/support/status-client.ts';
import { IssuerProblem } from './issuer-problem.ts';
import {
  approvedRequest,
  base64,
  ca,
  certificatePem,
  csr,
  failedBecause,
  issued,
  KEY,
  pendingBecause,
  start,
} from './testing/request-reconciler-setup.ts';

const unreachable = new IssuerProblem('Unreachable', 'No answer; check the network');
const badRequest = () => cfsslError('CFSSL_BAD_REQUEST');
const BAD_REQUEST = badRequest().message;
const stopped = new Error('Stopped');

describe('RequestReconciler', () => {
  describe("the request's fault", () => {
    test('a CSR that is none fails without a POST', async () => {
      const { reconcile, cfssl, events, counts, statuses } = start({
        request: approvedRequest({ spec: { request: base64('no CSR') } }),
      });
      assert.equal(await reconcile(), undefined);
      assert.deepEqual(cfssl.posts, []);
      const message = 'Cannot parse CSR: there is no PEM block';
      assert.deepEqual(statuses(), [failedBecause(message)]);
      assert.deepEqual(events.lines, [
        `Warning PermanentError: Failed permanently to sign CertificateRequest: ${message}`,
      ]);
      assert.deepEqual(await counts(), { request_refused: 1, unknown: 0 });
    });

    test("a CSR that CFSSL's policy refuses fails at once, and the issuer is not asked", async () => {
      const { reconcile, cfssl, events, counts, statuses, trace } = start();
      const error = cfsslError('CFSSL_NAMES_NOT_ALLOWED');
      cfssl.willAnswer(error);
      assert.equal(await reconcile(), undefined);
      assert.deepEqual(trace, ['post']);
      assert.deepEqual(statuses(), [failedBecause(error.message)]);
      assert.deepEqual(events.lines, [
        `Warning PermanentError: Failed permanently to sign CertificateRequest: ${error.message}`,
      ]);
      assert.deepEqual(await counts(), { request_refused: 1, unknown: 0 });
    });

    test('a certificate with other names fails the request, and is not handed out', async () => {
      const { reconcile, cfssl, counts, mismatches, statuses } = start();
      cfssl.willAnswer(signAnswer(issue(csr, ca, { extensions: [] })));
      assert.equal(await reconcile(), undefined);
      const message = 'The CSR asks for DNS:test.example, which the certificate lacks';
      assert.deepEqual(statuses(), [failedBecause(message)]);
      assert.deepEqual(mismatches, []);
      assert.deepEqual(await counts(), { request_refused: 1, unknown: 0 });
    });
  });

  describe('a bad request without a reason', () => {
    test('is believed the second time, with the issuer proved innocent', async () => {
      const { reconcile, cfssl, events, counts, statuses, trace } = start();
      cfssl.willAnswer(badRequest(), badRequest());
      assert.equal(await reconcile(), undefined);
      assert.deepEqual(trace, ['post', 'verify Issuer/team/ca', 'post', 'verify Issuer/team/ca']);
      assert.deepEqual(statuses(), [failedBecause(BAD_REQUEST)]);
      assert.deepEqual(events.lines, [
        `Warning PermanentError: Failed permanently to sign CertificateRequest: ${BAD_REQUEST}`,
      ]);
      assert.deepEqual(await counts(), { temporary_failure: 1, request_refused: 1, unknown: 0 });
    });

    test('is not believed when the second try is signed', async () => {
      const { reconcile, cfssl, trace, statuses } = start();
      cfssl.willAnswer(badRequest(), signAnswer(certificatePem));
      await reconcile();
      assert.deepEqual(trace, ['post', 'verify Issuer/team/ca', 'post']);
      assert.deepEqual(statuses(), [issued]);
    });

    test('of an issuer at fault leads to no second try and no status', async () => {
      const { reconcile, cfssl, verdicts, trace, statuses, counts } = start();
      cfssl.willAnswer(badRequest());
      verdicts.push(unreachable);
      assert.equal(await reconcile(), undefined);
      assert.deepEqual(trace, ['post', 'verify Issuer/team/ca']);
      assert.deepEqual(statuses(), []);
      assert.deepEqual(await counts(), { issuer_failed: 1, unknown: 0 });
    });

    test('is not tried again when the request is gone from the store meanwhile', async () => {
      const { reconciler, requests, cfssl, trace, abort } = start();
      cfssl.willAnswer(badRequest());
      const done = reconciler.reconcile(KEY, abort.signal);
      requests.remove(KEY);
      await done;
      assert.deepEqual(trace, ['post', 'verify Issuer/team/ca']);
    });

    test('is not believed the first time because of another failure before', async () => {
      const { reconcile, cfssl, statuses } = start();
      cfssl.willAnswer(cfsslError('CFSSL_TIMEOUT'), badRequest(), signAnswer(certificatePem));
      await assert.rejects(reconcile());
      await reconcile();
      assert.deepEqual(statuses().at(-1), issued);
    });
  });

  describe("the issuer's fault", () => {
    for (const code of ['CFSSL_INVALID_TOKEN', 'CFSSL_TIMEOUT', 'CFSSL_UNKNOWN_REFUSAL'] as const) {
      test(`${code}, and the probe agrees: no status, the request waits`, async () => {
        const { reconcile, cfssl, verdicts, events, statuses, trace, counts } = start();
        cfssl.willAnswer(cfsslError(code));
        verdicts.push(unreachable);
        assert.equal(await reconcile(), undefined);
        assert.deepEqual(trace, ['post', 'verify Issuer/team/ca']);
        assert.deepEqual(statuses(), []);
        assert.deepEqual(events.lines, []);
        assert.deepEqual(await counts(), { issuer_failed: 1, unknown: 0 });
      });
    }

    test('however long it lasts, the request is not failed for it', async () => {
      const { reconcile, clock, cfssl, verdicts, statuses } = start();
      for (let time = 0; time < 3; time += 1) {
        cfssl.willAnswer(cfsslError('CFSSL_UNREACHABLE'));
        verdicts.push(unreachable);
        await reconcile();
        await clock.advance(3_600_000);
      }
      cfssl.willAnswer(cfsslError('CFSSL_UNAVAILABLE'));
      await assert.rejects(reconcile());
      assert.equal(statuses().length, 1);
      assert.equal(statuses()[0]?.conditions?.[0]?.reason, 'Pending');
    });

    test('the two tries of a bad request begin anew after it', async () => {
      const { reconcile, cfssl, verdicts, trace, statuses } = start();
      cfssl.willAnswer(badRequest());
      verdicts.push(unreachable);
      await reconcile();
      cfssl.willAnswer(badRequest(), signAnswer(certificatePem));
      await reconcile();
      assert.equal(trace.filter((step) => step === 'post').length, 3);
      assert.deepEqual(statuses(), [issued]);
    });

    test('a wrong certificate is reported, and not handed out', async () => {
      const { reconcile, cfssl, mismatches, statuses, events, counts } = start();
      cfssl.willAnswer(signAnswer(issue(newCsr(), ca)));
      assert.equal(await reconcile(), undefined);
      assert.deepEqual(mismatches, ['Issuer/team/ca: The certificate is for another public key than the CSR']);
      assert.deepEqual(statuses(), []);
      assert.deepEqual(events.lines, []);
      assert.deepEqual(await counts(), { mismatch: 1, unknown: 0 });
    });

    for (const [name, answer] of [
      ['another key', issue(newCsr(), ca)],
      ['other names', issue(csr, ca, { extensions: [] })],
    ] as const) {
      test(`a certificate for ${name} has its audit line too: CFSSL issued it`, async () => {
        const { reconcile, cfssl, log } = start();
        cfssl.willAnswer(signAnswer(answer));
        await reconcile();
        assert.equal(log.fieldsOf('Certificate issued').length, 1);
      });
    }
  });

  describe('a wall clock that is an hour wrong', () => {
    for (const [hours, message] of [
      [-1, "The certificate is not valid yet: the CA's clock is ahead of ours"],
      [1, 'The certificate has already expired'],
    ] as const) {
      test(`by ${hours} h: the issuer is blamed, the request waits, and is issued when the clock is right`, async () => {
        const { reconcile, clock, cfssl, mismatches, statuses } = start();
        const pem = issue(csr, ca, { notBefore: '20261124115500Z', notAfter: '20261124123000Z' });
        cfssl.willAnswer(signAnswer(pem), signAnswer(pem));
        clock.jumpWallClock(hours * 3_600_000);
        assert.equal(await reconcile(), undefined);
        assert.deepEqual([mismatches, statuses()], [[`Issuer/team/ca: ${message}`], []]);
        clock.jumpWallClock(-hours * 3_600_000);
        await reconcile();
        assert.deepEqual(
          statuses().map((status) => status?.conditions?.[0]?.reason),
          ['Issued'],
        );
      });
    }
  });

  describe('a temporary error', () => {
    const error = cfsslError('CFSSL_UNAVAILABLE');
    const message = `Failed to sign CertificateRequest, will retry: ${error.message}`;

    test('is Pending with the cause, and rejects, so that the queue backs off', async () => {
      const { reconcile, cfssl, events, statuses, trace, counts } = start();
      cfssl.willAnswer(error);
      await assert.rejects(reconcile(), error);
      assert.deepEqual(trace, ['post', 'verify Issuer/team/ca']);
      assert.deepEqual(statuses(), [pendingBecause(message)]);
      assert.deepEqual(events.lines, [`Warning RetryableError: ${message}`]);
      assert.deepEqual(await counts(), { temporary_failure: 1, unknown: 0 });
    });

    test("so is the issuer's fault when the probe finds none", async () => {
      const { reconcile, cfssl, statuses } = start();
      const refused = cfsslError('CFSSL_UNKNOWN_PROFILE');
      cfssl.willAnswer(refused);
      await assert.rejects(reconcile(), refused);
      assert.deepEqual(statuses(), [
        pendingBecause(`Failed to sign CertificateRequest, will retry: ${refused.message}`),
      ]);
    });

    test('is tried again, and its status is written once', async () => {
      const { reconcile, requests, cfssl, statuses } = start();
      cfssl.willAnswer(error, error, signAnswer(certificatePem));
      await assert.rejects(reconcile());
      const conditions = [APPROVED, ...(pendingBecause(message).conditions ?? [])];
      requests.put(approvedRequest({ metadata: { resourceVersion: '2' }, conditions }));
      await assert.rejects(reconcile());
      await reconcile();
      assert.deepEqual(
        statuses().map((status) => status?.conditions?.[0]?.reason),
        ['Pending', 'Issued'],
      );
    });

    for (const hours of [1, -1]) {
      test(`is retried as long when the wall clock jumps by ${hours} h`, async () => {
        const { reconcile, clock, cfssl } = start();
        cfssl.willAnswer(error, error, signAnswer(certificatePem));
        await assert.rejects(reconcile(), error);
        clock.jumpWallClock(hours * 3_600_000);
        await assert.rejects(reconcile(), error);
        clock.jumpWallClock(-hours * 3_600_000);
        await reconcile();
        assert.equal(cfssl.posts.length, 3);
      });
    }

    test('that lasts too long fails the request, without another POST', async () => {
      const { reconcile, clock, cfssl, events, trace, statuses } = start();
      cfssl.willAnswer(error, error);
      await assert.rejects(reconcile());
      await clock.advance(300_000);
      await assert.rejects(reconcile());
      await clock.advance(1);
      assert.equal(await reconcile(), undefined);
      assert.equal(trace.filter((step) => step === 'post').length, 2);
      const status = statuses().at(-1);
      assert.deepEqual(
        { ...status, conditions: status?.conditions?.map(({ reason, message: text }) => ({ reason, message: text })) },
        {
          conditions: [
            { reason: 'Failed', message: `Failed permanently to sign CertificateRequest: ${error.message}` },
          ],
          failureTime: '2026-11-24T12:05:00Z',
        },
      );
      assert.match(events.lines.at(-1) ?? '', /^Warning PermanentError: /);
    });

    test('is forgotten with the request', async () => {
      const { reconcile, reconciler, clock, cfssl, statuses } = start();
      cfssl.willAnswer(error, signAnswer(certificatePem));
      await assert.rejects(reconcile());
      reconciler.forget('uid-request');
      await clock.advance(300_001);
      await reconcile();
      assert.equal(statuses().at(-1)?.conditions?.[0]?.reason, 'Issued');
    });

    test('of unknown outcome is counted', async () => {
      const { reconcile, cfssl, counts } = start();
      cfssl.willAnswer(cfsslError('CFSSL_CONNECTION_LOST', true));
      await assert.rejects(reconcile());
      assert.deepEqual(await counts(), { temporary_failure: 1, unknown: 1 });
    });

    test('whose status cannot be written rejects too', async () => {
      const { reconcile, cfssl, api, events } = start();
      const failure = unavailable();
      cfssl.willAnswer(error);
      api.applyErrors.push(failure);
      await assert.rejects(reconcile(), failure);
      assert.deepEqual(events.lines, []);
    });

    test('and a probe that breaks: that rejects, and nothing is written', async () => {
      const { reconcile, cfssl, verdicts, statuses } = start();
      const broken = new Error('Broken');
      cfssl.willAnswer(error);
      verdicts.push(broken);
      await assert.rejects(reconcile(), broken);
      assert.deepEqual(statuses(), []);
    });
  });

  describe('an error that is not of CFSSL', () => {
    test('rejects, and nothing is written', async () => {
      const { reconcile, cfssl, statuses, trace, events } = start();
      const broken = new TypeError('Broken');
      cfssl.willAnswer(broken);
      await assert.rejects(reconcile(), broken);
      assert.deepEqual([statuses(), trace, events.lines], [[], ['post'], []]);
    });
  });

  describe('a signing that was cancelled', () => {
    test("rejects with the signal's reason; nothing is written and no issuer suspected", async () => {
      const { reconcile, cfssl, abort, statuses, trace, events } = start();
      cfssl.willAnswer(cfsslError('CFSSL_ABORTED'));
      abort.abort(stopped);
      await assert.rejects(reconcile(), stopped);
      assert.deepEqual([statuses(), trace, events.lines], [[], ['post'], []]);
    });

    test('is counted when its outcome is not known', async () => {
      const { reconcile, cfssl, abort, counts } = start();
      cfssl.willAnswer(cfsslError('CFSSL_ABORTED', true));
      abort.abort(stopped);
      await assert.rejects(reconcile(), stopped);
      assert.deepEqual(await counts(), { unknown: 1 });
    });
  });
});
