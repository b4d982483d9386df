import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { ManualClock } from '../../test/support/manual-clock.ts';

import { EndpointHealth } from './endpoint-health.ts';
import { CFSSL_ERRORS, CfsslError, type CfsslErrorCode } from './errors.ts';

const URL_OF_A = 'http://a.example';

function create(): { clock: ManualClock; health: EndpointHealth } {
  const clock = new ManualClock();
  return { clock, health: new EndpointHealth({ clock, random: () => 0 }, URL_OF_A) };
}

function errorOf(code: CfsslErrorCode, details: Partial<CfsslError['details']> = {}): CfsslError {
  return new CfsslError(code, { action: 'a', reason: 'why', details: { maybeProcessed: false, ...details } });
}

const unreachable = errorOf('CFSSL_UNREACHABLE');

/** An answer that came from something else than CFSSL, or none. */
const NOT_REACHED: readonly CfsslErrorCode[] = [
  'CFSSL_UNREACHABLE',
  'CFSSL_TIMEOUT',
  'CFSSL_CONNECTION_LOST',
  'CFSSL_TLS_TRUST',
  'CFSSL_WRONG_SCHEME',
  'CFSSL_INVALID_ANSWER',
  'CFSSL_REDIRECT',
  'CFSSL_NOT_FOUND',
  'CFSSL_METHOD_REFUSED',
  'CFSSL_PROXY_LOGIN',
  'CFSSL_FORBIDDEN',
  'CFSSL_CLIENT_NAME_REFUSED',
  'CFSSL_UNAVAILABLE',
];

describe('EndpointHealth', () => {
  test('knows nothing at first', () => {
    const { health } = create();
    assert.deepEqual(health.state, { url: URL_OF_A, reachable: undefined });
    assert.equal(health.pausedBy, undefined);
    assert.ok(health.claim());
  });

  for (const code of Object.keys(CFSSL_ERRORS) as CfsslErrorCode[]) {
    const isReached = !NOT_REACHED.includes(code);
    test(`${code}: ${isReached ? 'reachable, not left out' : 'not reachable, left out for a while'}`, () => {
      const { health } = create();
      health.recordError('sign', errorOf(code));
      if (code === 'CFSSL_ABORTED') {
        assert.deepEqual(health.state, { url: URL_OF_A, reachable: undefined });
        assert.ok(health.claim());
        return;
      }
      const failed = { url: URL_OF_A, reachable: false, lastError: 'why' };
      assert.deepEqual(health.state, isReached ? { url: URL_OF_A, reachable: true } : failed);
      assert.equal(health.claim(), isReached);
    });
  }

  test('an outcome that is not known leaves a reachable endpoint out too', () => {
    const { health } = create();
    const error = errorOf('CFSSL_DATABASE', { maybeProcessed: true });
    health.recordError('sign', error);
    assert.deepEqual(health.state, { url: URL_OF_A, reachable: true });
    assert.equal(health.claim(), false);
    assert.equal(health.pausedBy, error);
  });

  test('when the pause is over one call tries, the others wait for its end', async () => {
    const { clock, health } = create();
    health.recordError('sign', unreachable);
    await clock.advance(999);
    assert.equal(health.claim(), false);
    await clock.advance(1);
    assert.equal(health.claim(), true);
    assert.equal(health.claim(), false);
    health.recordAnswer('sign');
    assert.equal(health.claim(), true);
    assert.equal(health.claim(), true);
    assert.equal(health.pausedBy, undefined);
  });

  test('a trial that never ends is repeated after a pause', async () => {
    const { clock, health } = create();
    health.recordError('sign', unreachable);
    await clock.advance(1000);
    assert.equal(health.claim(), true);
    await clock.advance(1000);
    assert.equal(health.claim(), true);
  });

  test('pauses grow from 1 s to 30 s, and begin anew after an answer', async () => {
    const { clock, health } = create();
    const pauses: number[] = [];
    for (let i = 0; i < 7; i++) {
      health.recordError('sign', unreachable);
      let waitedMs = 0;
      for (; !health.claim(); waitedMs += 500) await clock.advance(500);
      pauses.push(waitedMs);
    }
    assert.deepEqual(pauses, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
    health.recordAnswer('sign');
    health.recordError('sign', unreachable);
    await clock.advance(1000);
    assert.equal(health.claim(), true);
  });

  test("the server's own Retry-After is the length of the pause", async () => {
    const { clock, health } = create();
    health.recordError('sign', errorOf('CFSSL_UNAVAILABLE', { retryAfterMs: 7000 }));
    await clock.advance(6999);
    assert.equal(health.claim(), false);
    await clock.advance(1);
    assert.equal(health.claim(), true);
  });

  test('a wall clock that jumps changes nothing', () => {
    const { clock, health } = create();
    health.recordError('sign', unreachable);
    clock.jumpWallClock(3_600_000);
    assert.equal(health.claim(), false);
  });

  test('information ends a pause for want of a connection, not one for an unknown outcome', () => {
    const { health } = create();
    health.recordError('sign', unreachable);
    health.recordAnswer('info');
    assert.equal(health.claim(), true);

    health.recordError('sign', errorOf('CFSSL_TIMEOUT', { maybeProcessed: true }));
    health.recordAnswer('info');
    health.recordAnswer('probe');
    health.recordError('probe', errorOf('CFSSL_INVALID_TOKEN'));
    assert.deepEqual(health.state, { url: URL_OF_A, reachable: true });
    assert.equal(health.claim(), false);
    health.recordError('sign', errorOf('CFSSL_BAD_REQUEST'));
    assert.equal(health.claim(), true);
  });
});
