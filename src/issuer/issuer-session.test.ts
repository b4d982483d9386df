import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { configMap, issuer, secret } from '../../test/support/builders.ts';
import { startCfsslServer } from '../../test/support/cfssl-server.ts';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { LogRecorder } from '../../test/support/recorders.ts';
import { authority, NOW_MS } from '../../test/support/signing.ts';
import { WatchesDouble } from '../../test/support/watches-double.ts';
import type { Issuer, IssuerSpec } from '../api/index.ts';
import { IssuerProblem } from './issuer-problem.ts';
import { IssuerSession } from './issuer-session.ts';

const KEY = '00ff';
const ca = authority('CA');
const otherCa = authority('Other CA');

/** A session for `Issuer/team/ca`, its CFSSL and its Secret, all in order. */
async function start(t: TestContext, overrides: Partial<IssuerSpec> = {}) {
  const cfssl = await startCfsslServer(t, { caPem: ca.certificate.pem, key: KEY });
  const clock = new ManualClock(NOW_MS);
  const watches = new WatchesDouble();
  watches.set('Secret', secret({ key: KEY }));
  const changes: string[] = [];
  const session = new IssuerSession(
    {
      clock,
      log: new LogRecorder(),
      random: () => 0,
      watches: watches.asNamedObjectWatches(),
    },
    { id: 'Issuer/team/ca', namespace: 'team', onChange: () => changes.push('changed') },
  );
  t.after(async () => {
    await session.close();
    assert.deepEqual(watches.watched, []);
    assert.equal(clock.pendingTimers, 0);
  });
  const spec: IssuerSpec = { url: cfssl.url, authSecretName: 'ca-key', label: 'main', ...overrides };
  const object = issuer({ spec });
  const { signal } = new AbortController();
  const check = (given: Issuer = object) => session.check(given, signal);
  /** The calls to CFSSL since the last time. */
  const calls = () => cfssl.calls.splice(0);
  return { cfssl, clock, watches, changes, session, spec, object, check, calls };
}

/** A later generation with other fields. */
const changed = (spec: IssuerSpec, fields: Partial<IssuerSpec>, generation = 2): Issuer =>
  issuer({ metadata: { generation }, spec: { ...spec, ...fields } });

/** The reason and the message of the problem that a check ends with. */
async function problemOfCheck(check: Promise<unknown>): Promise<readonly [reason: string, message: string]> {
  try {
    await check;
  } catch (error) {
    if (error instanceof IssuerProblem) return [error.reason, error.message];
    throw error;
  }
  throw new Error('The check passed');
}

describe('IssuerSession', () => {
  describe('check()', () => {
    test('proves key, label and profile, and learns the CA', async (t) => {
      const { cfssl, session, object, check, calls, watches } = await start(t, { profile: 'server' });
      assert.equal(session.readyFor(object), undefined);
      assert.deepEqual(session.describeStatus(), {});
      const ready = await check();
      assert.deepEqual(calls(), ['probe', 'info']);
      assert.deepEqual(watches.watched, ['Secret team/ca-key']);
      assert.equal(session.readyFor(object), ready);
      assert.equal(ready.id, 'Issuer/team/ca');
      assert.equal(ready.signer.pem, ca.certificate.pem);
      assert.deepEqual([ready.configuration.label, ready.configuration.profile], ['main', 'server']);
      assert.deepEqual(session.describeStatus(), {
        endpoints: [{ url: cfssl.url, reachable: true }],
        ca: { subject: 'CN=CA', sha256: ca.certificate.sha256Hex, notAfter: '2026-11-24T13:00:00Z' },
        keyInUse: 'key',
      });
    });

    test('of a ready issuer asks for the CA only, and gives the same', async (t) => {
      const { check, calls } = await start(t);
      const ready = await check();
      calls();
      assert.equal(await check(), ready);
      assert.deepEqual(calls(), ['info']);
    });

    test('proves the profile for CAs too', async (t) => {
      const { cfssl, check, calls } = await start(t, { profile: 'server', caProfile: 'ca' });
      cfssl.unknownProfile = 'ca';
      assert.deepEqual(await problemOfCheck(check()), [
        'UnknownProfile',
        `The server does not know the profile (HTTP 400, code 1, "invalid profile") at ${cfssl.url}; check spec.caProfile: the server has no profile "ca" for label "main"`,
      ]);
      assert.deepEqual(calls(), ['probe', 'probe']);
      cfssl.unknownProfile = undefined;
      await check();
      assert.deepEqual(calls(), ['probe', 'probe', 'info']);
    });

    test('with a maximal duration asks whether the server obeys one', async (t) => {
      const { cfssl, session, spec, check, calls } = await start(t, { maxDuration: '24h' });
      await check();
      assert.deepEqual(calls(), ['probe', 'validity', 'info']);
      assert.deepEqual(session.warnings, []);
      cfssl.obeysValidity = false;
      await check(changed(spec, { label: '' }));
      assert.deepEqual(session.warnings, ['DurationIgnored']);
    });

    test('of a new generation begins anew', async (t) => {
      const { session, spec, object, check, calls } = await start(t);
      const before = await check();
      calls();
      const next = changed(spec, { profile: 'server' });
      assert.equal(session.readyFor(next), undefined);
      const after = await check(next);
      assert.deepEqual(calls(), ['probe', 'info']);
      assert.notEqual(after.client, before.client);
      assert.equal(after.configuration.profile, 'server');
      assert.equal(session.readyFor(next), after);
      assert.equal(session.readyFor(object), undefined);
    });

    test('of another issuer of the same name begins anew', async (t) => {
      const { session, spec, check, calls } = await start(t);
      await check();
      calls();
      const other = issuer({ metadata: { uid: 'uid-2' }, spec });
      assert.equal(session.readyFor(other), undefined);
      await check(other);
      assert.deepEqual(calls(), ['probe', 'info']);
    });

    test('after a change of the Secret uses the new key', async (t) => {
      const { cfssl, session, object, watches, changes, check, calls } = await start(t);
      const before = await check();
      calls();
      cfssl.key = 'aaaa';
      watches.set('Secret', secret({ key: 'aaaa' }, { resourceVersion: '2' }));
      assert.deepEqual(changes, ['changed']);
      const after = await check();
      assert.notEqual(after, before);
      assert.equal(session.readyFor(object), after);
      assert.deepEqual(calls(), ['probe', 'info']);
    });

    test('tells that the next key is in use', async (t) => {
      const { cfssl, session, watches, check } = await start(t);
      cfssl.key = 'aaaa';
      watches.set('Secret', secret({ key: KEY, key_next: 'aaaa' }, { resourceVersion: '2' }));
      await check();
      assert.equal(session.describeStatus().keyInUse, 'key_next');
    });

    test('tells that the next key is in use soon after a signing needed it, and proves that once', async (t) => {
      const { cfssl, clock, session, watches, changes, check, calls } = await start(t);
      watches.set('Secret', secret({ key: KEY, key_next: 'aaaa' }, { resourceVersion: '2' }));
      const { client } = await check();
      cfssl.key = 'aaaa';
      const { signal } = new AbortController();
      await Promise.all(['a', 'b'].map((csrPem) => client.sign({ csrPem }, { signal })));
      assert.equal(session.describeStatus().keyInUse, 'key');
      calls();
      changes.length = 0;
      await clock.advance(1_000);
      assert.deepEqual(changes, ['changed']);
      await check();
      assert.deepEqual(calls(), ['probe', 'info']);
      assert.equal(session.describeStatus().keyInUse, 'key_next');
    });

    test('watches exactly what the spec names', async (t) => {
      const { watches, spec, check } = await start(t);
      await check();
      watches.set('ConfigMap', configMap({ 'ca.pem': ca.certificate.pem }));
      const chain = { configMapRef: { name: 'ca-roots', key: 'ca.pem' } };
      await check(changed(spec, { chain }));
      assert.deepEqual(watches.watched, ['ConfigMap team/ca-roots', 'Secret team/ca-key']);
      watches.set('Secret', secret({ key: KEY }, { name: 'other-key' }));
      await check(changed(spec, { authSecretName: 'other-key' }, 3));
      assert.deepEqual(watches.watched, ['Secret team/other-key']);
    });

    test('tells how often a ready issuer wants to be checked', async (t) => {
      const { session, check } = await start(t, { healthCheckInterval: '5m' });
      assert.equal(session.healthCheckIntervalMs, undefined);
      await check();
      assert.equal(session.healthCheckIntervalMs, 300_000);
    });

    test('of a spec that cannot be: nobody is asked', async (t) => {
      const { object, check, calls, watches } = await start(t);
      const [reason] = await problemOfCheck(check({ ...object, spec: {} }));
      assert.equal(reason, 'InvalidSpec');
      assert.deepEqual([calls(), watches.watched], [[], []]);
    });

    test('without the Secret: that is the problem, until it is there', async (t) => {
      const { session, object, watches, changes, check, calls } = await start(t);
      await check();
      calls();
      watches.remove('Secret team/ca-key');
      assert.deepEqual(await problemOfCheck(check()), [
        'SecretNotFound',
        'Secret team/ca-key does not exist; create it',
      ]);
      assert.deepEqual(calls(), []);
      assert.equal(session.readyFor(object), undefined);
      watches.set('Secret', secret({ key: KEY }, { resourceVersion: '2' }));
      assert.deepEqual(changes, ['changed', 'changed']);
      await check();
      assert.deepEqual(calls(), ['probe', 'info']);
    });

    test('with a key that CFSSL refuses: that is the problem, and it is proved again each time', async (t) => {
      const { cfssl, session, object, check, calls } = await start(t);
      cfssl.key = 'aaaa';
      for (let time = 0; time < 2; time += 1) {
        const [reason, message] = await problemOfCheck(check());
        assert.equal(reason, 'AuthenticationFailed');
        assert.match(message, /; check the field "key" of Secret team\/ca-key$/);
        assert.deepEqual(calls(), ['probe']);
      }
      cfssl.key = KEY;
      await check();
      assert.ok(session.readyFor(object) !== undefined);
    });

    test('of a ready issuer whose CFSSL broke: not ready, and all is proved again', async (t) => {
      const { cfssl, session, object, check, calls } = await start(t);
      await check();
      calls();
      cfssl.brokenBy = 404;
      const [reason] = await problemOfCheck(check());
      assert.equal(reason, 'NotCFSSL');
      assert.deepEqual(calls(), ['info']);
      assert.equal(session.readyFor(object), undefined);
      const [endpoint] = session.describeStatus().endpoints ?? [];
      assert.equal(endpoint?.reachable, false);
      assert.match(endpoint.lastError ?? '', /./);
      cfssl.brokenBy = undefined;
      await check();
      assert.deepEqual(calls(), ['probe', 'info']);
    });

    test('with a client certificate that is none: TLSFailed, each time', async (t) => {
      const { spec, watches, check } = await start(t);
      watches.set('Secret', secret({ 'tls.crt': 'x', 'tls.key': 'y' }, { name: 'client' }));
      const next = changed(spec, { url: 'https://127.0.0.1:1', tls: { clientCertificateSecretName: 'client' } });
      for (let time = 0; time < 2; time += 1) {
        const [reason] = await problemOfCheck(check(next));
        assert.equal(reason, 'TLSFailed');
      }
    });

    test('with a CA that has expired: that is the problem', async (t) => {
      const { clock, session, object, check } = await start(t);
      await check();
      await clock.advance(3_600_000);
      assert.deepEqual(await problemOfCheck(check()), [
        'CAExpired',
        'The CA certificate "CN=CA" expired on 2026-11-24T13:00:00Z; renew it',
      ]);
      assert.equal(session.readyFor(object), undefined);
    });

    test('with another CA gives another', async (t) => {
      const { cfssl, session, object, check } = await start(t);
      const before = await check();
      cfssl.caPem = otherCa.certificate.pem;
      const after = await check();
      assert.notEqual(after, before);
      assert.equal(after.client, before.client);
      assert.equal(session.readyFor(object)?.signer.pem, otherCa.certificate.pem);
    });

    test("that is cancelled rejects with the signal's reason and proves nothing", async (t) => {
      const { cfssl, session, object, check } = await start(t);
      const ready = await check();
      const { promise, resolve } = Promise.withResolvers<void>();
      cfssl.held = promise;
      const abort = new AbortController();
      const cancelled = session.check(object, abort.signal);
      const reason = new Error('Stopped');
      abort.abort(reason);
      await assert.rejects(cancelled, reason);
      resolve();
      assert.equal(session.readyFor(object), ready);
    });
  });

  describe('verify()', () => {
    test('of an issuer that was never checked finds nothing', async (t) => {
      const { session, calls } = await start(t);
      assert.equal(await session.verify(), undefined);
      assert.deepEqual(calls(), []);
    });

    test('finds nothing when the probe passes, and the issuer stays ready', async (t) => {
      const { session, object, changes, check, calls } = await start(t);
      const ready = await check();
      calls();
      assert.equal(await session.verify(), undefined);
      assert.deepEqual(calls(), ['probe']);
      assert.deepEqual(changes, []);
      assert.equal(session.readyFor(object), ready);
    });

    test('that finds another key in use has that reported', async (t) => {
      const { cfssl, session, watches, changes, check } = await start(t);
      watches.set('Secret', secret({ key: KEY, key_next: 'aaaa' }, { resourceVersion: '2' }));
      await check();
      changes.length = 0;
      assert.equal(await session.verify(), undefined);
      assert.deepEqual(changes, []);
      cfssl.key = 'aaaa';
      assert.equal(await session.verify(), undefined);
      assert.deepEqual(changes, ['changed']);
      assert.equal(session.describeStatus().keyInUse, 'key_next');
    });

    test('of many at once is one probe', async (t) => {
      const { cfssl, session, check, calls } = await start(t);
      await check();
      calls();
      cfssl.key = 'aaaa';
      const problems = await Promise.all(Array.from({ length: 10 }, () => session.verify()));
      assert.deepEqual(calls(), ['probe']);
      assert.deepEqual(new Set(problems.map((problem) => problem?.reason)), new Set(['AuthenticationFailed']));
    });

    test('that finds a problem takes the issuer out of service until a check passes', async (t) => {
      const { cfssl, session, object, changes, check, calls } = await start(t);
      await check();
      cfssl.key = 'aaaa';
      const problem = await session.verify();
      assert.equal(problem?.reason, 'AuthenticationFailed');
      assert.equal(session.readyFor(object), undefined);
      assert.deepEqual(changes, ['changed']);
      cfssl.key = KEY;
      calls();
      // The check reports the verdict, so that it shows in the status, even though CFSSL is well again.
      await assert.rejects(check(), problem);
      assert.deepEqual(calls(), []);
      await check();
      assert.deepEqual(calls(), ['probe', 'info']);
      assert.ok(session.readyFor(object) !== undefined);
    });

    test('says nothing about a client that was replaced meanwhile', async (t) => {
      const { cfssl, session, spec, changes, check } = await start(t);
      await check();
      const { promise, resolve } = Promise.withResolvers<void>();
      cfssl.held = promise;
      cfssl.key = 'aaaa';
      const verified = session.verify();
      const checked = check(changed(spec, { profile: 'server' }));
      resolve();
      assert.equal(await verified, undefined);
      assert.deepEqual(changes, []);
      assert.equal((await problemOfCheck(checked))[0], 'AuthenticationFailed');
    });
  });

  describe('reportMismatch()', () => {
    test('takes the issuer out of service for as long as it stays as it is', async (t) => {
      const { session, object, changes, check } = await start(t);
      await check();
      assert.equal(session.reportMismatch('Another key').reason, 'CertificateMismatch');
      assert.equal(session.readyFor(object), undefined);
      assert.deepEqual(changes, ['changed']);
      for (let time = 0; time < 3; time += 1) {
        assert.deepEqual(await problemOfCheck(check()), ['CertificateMismatch', 'Another key']);
      }
    });

    test('is over when CFSSL signs with another CA', async (t) => {
      const { cfssl, session, check } = await start(t);
      await check();
      session.reportMismatch('Another CA');
      await problemOfCheck(check());
      cfssl.caPem = otherCa.certificate.pem;
      assert.equal((await check()).signer.pem, otherCa.certificate.pem);
    });

    for (const minutes of [50, -50]) {
      test(`is over when our clock, wrong by ${minutes} min, is set right, and not by time or drift`, async (t) => {
        const { clock, session, object, check } = await start(t);
        await check();
        clock.jumpWallClock(minutes * 60_000);
        session.reportMismatch('Not valid now');
        await problemOfCheck(check());
        await clock.advance(300_000);
        clock.jumpWallClock(60_000);
        assert.deepEqual(await problemOfCheck(check()), ['CertificateMismatch', 'Not valid now']);
        clock.jumpWallClock(-minutes * 60_000);
        assert.equal(await check(), session.readyFor(object));
      });
    }

    test('nor does a CA that seemed expired stay so when our clock, an hour ahead, is set right', async (t) => {
      const { clock, session, object, check } = await start(t);
      clock.jumpWallClock(3_600_000);
      assert.equal((await problemOfCheck(check()))[0], 'CAExpired');
      clock.jumpWallClock(-3_600_000);
      assert.equal(await check(), session.readyFor(object));
    });

    test('is over when the spec changes', async (t) => {
      const { session, spec, check } = await start(t);
      await check();
      session.reportMismatch('Another key');
      const next = changed(spec, { profile: 'server' });
      const ready = await check(next);
      assert.equal(session.readyFor(next), ready);
    });
  });
});
