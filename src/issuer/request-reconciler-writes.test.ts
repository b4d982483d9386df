/** That a request is signed at most once, whatever becomes of the write of its status. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { APPROVED, DENIED } from '../../test/support/builders.ts';
import { issue, newCsr, signAnswer } from '../../test/support/signing.ts';
import { conflict, invalid, notFound, unavailable } from '../../test/support/status-client.ts';
import type { CertificateRequestStatus } from '../api/index.ts';
import {
  approvedRequest,
  base64,
  ca,
  certificatePem,
  csr,
  failedBecause,
  type Given,
  issued,
  start,
} from './testing/request-reconciler-setup.ts';

describe('RequestReconciler', () => {
  describe('signs at most once', () => {
    test('a failed status write is tried again with the same certificate', async () => {
      const { reconcile, cfssl, api, events, log, statuses } = start();
      cfssl.willAnswer(signAnswer(certificatePem));
      api.applyErrors.push(...Array.from({ length: 50 }, unavailable));
      assert.equal(await reconcile(), undefined);
      assert.equal(cfssl.posts.length, 1);
      assert.deepEqual(
        statuses().map(({ certificate }) => certificate),
        Array.from({ length: 51 }, () => issued.certificate),
      );
      assert.deepEqual(events.lines, ['Normal Issued: Succeeded signing the CertificateRequest']);
      assert.equal(log.fieldsOf('Certificate issued').length, 1);
      assert.equal(log.fieldsOf('Cannot write status, trying again').length, 1);
    });

    test('nothing more is signed while 16 final statuses cannot be written', async () => {
      const { reconciler, requests, cfssl, api, clock, abort } = start({ request: null });
      api.applyErrors.push(...Array.from({ length: 32 }, unavailable));
      const keys = Array.from({ length: 17 }, (_, at) => `request-${at}`);
      for (const name of keys) {
        requests.put(approvedRequest({ metadata: { name, uid: name } }));
        cfssl.willAnswer(signAnswer(certificatePem));
      }
      const [last = '', ...others] = keys.map((name) => `team/${name}`).reverse();
      const waiting = others.map((key) => reconciler.reconcile(key, abort.signal));
      await clock.advance(0);
      assert.deepEqual(await reconciler.reconcile(last, abort.signal), { requeueAfterMs: 500 });
      assert.equal(cfssl.posts.length, 16);
      await clock.advance(1_000);
      await Promise.all(waiting);
      await reconciler.reconcile(last, abort.signal);
      assert.equal(cfssl.posts.length, 17);
    });

    test('a write that the API server refuses is left to the queue, with the same certificate', async () => {
      const { reconcile, cfssl, api, statuses } = start();
      cfssl.willAnswer(signAnswer(certificatePem));
      const refused = new Error('Refused');
      api.applyErrors.push(refused);
      await assert.rejects(reconcile(), refused);
      assert.equal(await reconcile(), undefined);
      assert.equal(cfssl.posts.length, 1);
      assert.deepEqual(statuses(), [issued, issued]);
    });

    test('also when the issuer has become unable to sign meanwhile', async () => {
      const { reconcile, cfssl, api, issuers, state, statuses } = start();
      cfssl.willAnswer(signAnswer(certificatePem));
      api.applyErrors.push(new Error('Refused'));
      await assert.rejects(reconcile());
      state.ready = undefined;
      issuers.remove('team/ca');
      await reconcile();
      assert.deepEqual(statuses(), [issued, issued]);
    });

    test('a conflict is settled by a read and the same certificate for the new version', async () => {
      const { reconcile, cfssl, api, events } = start();
      cfssl.willAnswer(signAnswer(certificatePem));
      api.applyErrors.push(conflict(), conflict());
      api.reads.push(
        approvedRequest({ metadata: { resourceVersion: '7' } }),
        approvedRequest({ metadata: { resourceVersion: '8' } }),
      );
      assert.equal(await reconcile(), undefined);
      assert.equal(cfssl.posts.length, 1);
      assert.deepEqual(
        api.applied.map(({ object }) => object),
        ['1', '7', '8'].map((resourceVersion) => ({
          metadata: { name: 'request', namespace: 'team', resourceVersion },
          status: issued,
        })),
      );
      assert.deepEqual(events.lines, ['Normal Issued: Succeeded signing the CertificateRequest']);
    });

    test('a conflict with a write of ours that was thought to have failed needs no other', async () => {
      const { reconcile, cfssl, api } = start();
      cfssl.willAnswer(signAnswer(certificatePem));
      api.applyErrors.push(unavailable(), conflict());
      api.reads.push(approvedRequest({ metadata: { resourceVersion: '2' }, status: issued }));
      await reconcile();
      assert.equal(cfssl.posts.length, 1);
      assert.equal(api.applied.length, 2);
    });

    test('a certificate that the API server refuses for good fails the request', async () => {
      const { reconcile, cfssl, api, statuses } = start();
      cfssl.willAnswer(signAnswer(certificatePem));
      api.applyErrors.push(invalid());
      assert.equal(await reconcile(), undefined);
      assert.equal(cfssl.posts.length, 1);
      const message = 'The API server refuses the certificate: Cannot apply: 422 Invalid: no';
      assert.deepEqual(statuses(), [issued, failedBecause(message)]);
    });

    test('a failed read after a conflict leads to another write, not to another signature', async () => {
      const { reconcile, cfssl, api, statuses } = start();
      cfssl.willAnswer(signAnswer(certificatePem));
      api.applyErrors.push(conflict());
      api.reads.push(unavailable());
      await reconcile();
      assert.equal(cfssl.posts.length, 1);
      assert.deepEqual(statuses(), [issued, issued]);
    });

    test('a stale store leads to no other signature until forget()', async () => {
      const { reconcile, reconciler, cfssl, api, events } = start();
      cfssl.willAnswer(signAnswer(certificatePem), signAnswer(certificatePem));
      await reconcile();
      for (let time = 0; time < 3; time += 1) {
        api.applyErrors.push(conflict());
        api.reads.push(approvedRequest({ metadata: { resourceVersion: '2' }, status: issued }));
        await reconcile();
      }
      assert.equal(cfssl.posts.length, 1);
      assert.equal(events.lines.length, 1);
      reconciler.forget('uid-request');
      await reconcile();
      assert.equal(cfssl.posts.length, 2);
    });

    test('another request of the same name gets a signature of its own', async () => {
      const { reconcile, requests, cfssl, api, statuses } = start();
      const csr2 = newCsr();
      const second = issue(csr2, ca);
      cfssl.willAnswer(signAnswer(certificatePem), signAnswer(second));
      api.applyErrors.push(new Error('Refused'));
      await assert.rejects(reconcile());
      requests.put(
        approvedRequest({ metadata: { uid: 'uid-2', resourceVersion: '9' }, spec: { request: csr2.base64 } }),
      );
      await reconcile();
      assert.deepEqual(
        cfssl.posts.map(({ csrPem }) => csrPem),
        [csr.pem, csr2.pem],
      );
      assert.deepEqual(statuses()[1], { ...issued, certificate: base64(second) });
    });
  });

  describe('signs nothing that the leader before has finished, unseen', () => {
    const cases: readonly [name: string, found: object | Error, posts: number][] = [
      ['it is finished', approvedRequest({ metadata: { resourceVersion: '2' }, status: issued }), 0],
      ['it is gone', notFound(), 0],
      ['another one has its name', approvedRequest({ metadata: { uid: 'uid-2' } }), 0],
      ['it is open still', approvedRequest(), 1],
    ];
    for (const [name, found, posts] of cases) {
      test(name, async () => {
        const { reconcile, cfssl, api, state } = start();
        state.isCaughtUp = false;
        cfssl.willAnswer(signAnswer(certificatePem));
        api.reads.push(found);
        await reconcile();
        assert.deepEqual([cfssl.posts.length, api.applied.length, api.readCount], [posts, posts, 1]);
      });
    }

    test('a failed read signs nothing', async () => {
      const { reconcile, cfssl, api, state } = start();
      state.isCaughtUp = false;
      api.reads.push(unavailable());
      await assert.rejects(reconcile(), { code: 'KUBERNETES_CONNECTION' });
      assert.deepEqual(cfssl.posts, []);
    });
  });

  describe('a request that is gone when its certificate is there', () => {
    test('404: nothing more is done', async () => {
      const { reconcile, cfssl, api, events } = start();
      cfssl.willAnswer(signAnswer(certificatePem));
      api.applyErrors.push(notFound());
      assert.equal(await reconcile(), undefined);
      assert.equal(api.applied.length, 1);
      assert.deepEqual(events.lines, []);
    });

    test('409, and the read finds nothing: nothing more is done', async () => {
      const { reconcile, cfssl, api, events } = start();
      cfssl.willAnswer(signAnswer(certificatePem));
      api.applyErrors.push(conflict());
      api.reads.push(notFound());
      assert.equal(await reconcile(), undefined);
      assert.equal(api.applied.length, 1);
      assert.deepEqual(events.lines, []);
    });

    test('409, and another request has its name: that one is not written', async () => {
      const { reconcile, cfssl, api, events } = start();
      cfssl.willAnswer(signAnswer(certificatePem));
      api.applyErrors.push(conflict());
      api.reads.push(approvedRequest({ metadata: { uid: 'uid-2', resourceVersion: '9' } }));
      assert.equal(await reconcile(), undefined);
      assert.equal(api.applied.length, 1);
      assert.equal(api.readCount, 1);
      assert.deepEqual(events.lines, []);
    });

    for (const [name, error] of [
      ['404', notFound],
      ['409', conflict],
    ] as const) {
      test(`${name}, and the store does not show it yet: it is not signed again`, async () => {
        const { reconcile, cfssl, api } = start();
        cfssl.willAnswer(signAnswer(certificatePem));
        api.applyErrors.push(error(), notFound());
        api.reads.push(notFound());
        await reconcile();
        await reconcile();
        assert.equal(cfssl.posts.length, 1);
      });
    }
  });

  describe('a request that somebody has finished meanwhile keeps its status', () => {
    const cases: readonly [name: string, given: Given, found: CertificateRequestStatus][] = [
      ['Pending is not written over Issued', { issuer: null }, issued],
      ['Pending is not written over Failed', { issuer: null }, failedBecause('refused')],
      ['Denied is not written over Issued', { request: approvedRequest({ conditions: [DENIED] }) }, issued],
      ['Failed is not written over Issued', { request: approvedRequest({ spec: { request: '' } }) }, issued],
    ];
    for (const [name, given, found] of cases) {
      test(name, async () => {
        const { reconcile, api } = start(given);
        api.applyErrors.push(conflict());
        api.reads.push(approvedRequest({ metadata: { resourceVersion: '2' }, status: found }));
        await reconcile();
        assert.equal(api.applied.length, 1);
      });
    }
  });

  describe('a request that has its certificate and does not say so any more', () => {
    test('is told it again, without a POST', async () => {
      const status = { conditions: [APPROVED], certificate: issued.certificate ?? '', ca: issued.ca ?? '' };
      const { reconcile, cfssl, statuses } = start({ request: approvedRequest({ status }) });
      assert.equal(await reconcile(), undefined);
      assert.deepEqual(cfssl.posts, []);
      assert.deepEqual(statuses(), [issued]);
    });

    test('is signed if that is none of ours', async () => {
      const status = { conditions: [APPROVED], certificate: base64('rubbish') };
      const { reconcile, cfssl, statuses } = start({ request: approvedRequest({ status }) });
      cfssl.willAnswer(signAnswer(certificatePem));
      await reconcile();
      assert.equal(cfssl.posts.length, 1);
      assert.deepEqual(statuses(), [issued]);
    });
  });
});
