import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { AccessReviewsDouble } from '../../test/support/access-reviews.ts';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { LogRecorder } from '../../test/support/recorders.ts';
import { unavailable } from '../../test/support/status-client.ts';
import type { ResourceAttributes } from '../api/index.ts';
import { KubernetesError } from '../kubernetes/index.ts';
import { untilPermitted } from './permission.ts';

const group = 'certificates.k8s.io';
const LIST = { group, resource: 'certificatesigningrequests', verb: 'list' };
const PATCH = { group, resource: 'certificatesigningrequests', subresource: 'status', verb: 'patch' };

function start(isAllowed: (attributes: ResourceAttributes) => boolean) {
  const clock = new ManualClock();
  const log = new LogRecorder();
  const api = new AccessReviewsDouble(isAllowed);
  const abort = new AbortController();
  const run = () =>
    untilPermitted({ clock, log, client: api.asKubernetesClient() }, [LIST, PATCH], {
      signal: abort.signal,
      purpose: 'Requests',
    });
  const lines = () => log.lines.map(({ level, message, fields }) => ({ level, message, missing: fields['missing'] }));
  return { clock, api, abort, run, lines };
}

describe('untilPermitted()', () => {
  test('returns at once, without a word, when all is permitted', async () => {
    const { api, run, lines } = start(() => true);
    await run();
    assert.deepEqual(
      api.reviews,
      [LIST, PATCH].map((resourceAttributes) => ({ kind: 'SelfSubjectAccessReview', resourceAttributes })),
    );
    assert.deepEqual(lines(), []);
  });

  test('says once what is missing, asks again every minute, and returns when it is granted', async () => {
    let isGranted = false;
    const { clock, api, run, lines } = start(({ verb }) => isGranted || verb === 'list');
    const done = run();
    const told = {
      level: 'warn',
      message: 'Permission is missing, going on without',
      missing: ['patch certificatesigningrequests.certificates.k8s.io/status'],
    };
    for (let minute = 0; minute < 10; minute += 1) await clock.advance(60_000);
    assert.deepEqual(lines(), [told]);
    assert.equal(api.reviews.length, 22);
    isGranted = true;
    await clock.advance(60_000);
    await done;
    assert.deepEqual(lines(), [told, { level: 'info', message: 'Permission is there', missing: undefined }]);
  });

  test('asks again soon when the API server has trouble, and says so once', async () => {
    const { clock, api, run, lines } = start(() => true);
    api.errors.push(unavailable(), unavailable());
    const done = run();
    await clock.advance(10_000);
    await done;
    assert.equal(api.reviews.length, 4);
    assert.deepEqual(
      lines().map(({ message }) => message),
      ['Cannot find out what is permitted, trying again', 'Permission is there'],
    );
  });

  test('asks again every minute where the question itself is not permitted', async () => {
    const { clock, api, run, abort } = start(() => true);
    const forbidden = new KubernetesError('KUBERNETES_API', 'Cannot create: 403 Forbidden', { status: 403 });
    api.errors.push(...Array.from({ length: 10 }, () => forbidden));
    const done = run();
    await clock.advance(59_999);
    assert.equal(api.reviews.length, 1);
    await clock.advance(1);
    assert.equal(api.reviews.length, 2);
    abort.abort(forbidden);
    await assert.rejects(done, forbidden);
  });

  for (const [name, failures] of [
    ['waiting for permission', []],
    ['waiting after a failure', [unavailable()]],
  ] as const) {
    test(`ends with the signal, while ${name}`, async () => {
      const { clock, api, abort, run, lines } = start(() => false);
      api.errors.push(...failures);
      const done = run();
      done.catch(() => {});
      await clock.advance(1);
      const reason = new Error('Stopped');
      abort.abort(reason);
      await assert.rejects(done, reason);
      assert.equal(lines().length, 1);
    });
  }
});
