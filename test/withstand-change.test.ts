/**
 * Things that change under the program: issuers that are made again, Secrets that alternate, and statuses that others
 * fill with rubbish or fight over. It does not crash, does not storm, says what is true, and loses nothing.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ApiResource, CERTIFICATE_REQUESTS, type CertificateRequest, ISSUERS } from '../src/api/index.ts';
import { isReady, type ObjectWithConditions, resourceOf } from '../tools/cluster.ts';
import { requestHttps } from '../tools/servers/https-request.ts';
import { hang } from './support/cfssl-proxy.ts';
import { createNamespace, issuerManifests, judgeRequest, readyOf, waitForReason } from './support/environment.ts';
import { waitForEvent } from './support/events.ts';
import { countWrites, readMetric } from './support/metrics.ts';
import { Stage } from './support/stage.ts';

const SECRETS = resourceOf({ apiVersion: 'v1', kind: 'Secret' });
const RUBBISH = '\u001b[31m%s\u0000\n😀'.repeat(2_000);
const FIGHT_MS = 5_000;
/** Within this time an issuer tells the truth again. */
const MENDED_MS = 3_000;
/** It is done after a second; by the next health check, a minute later, it would be done without being noticed. */
const PUT_RIGHT_MS = 10_000;

let stage: Stage;

describe('the program withstands changes under it:', () => {
  before(async () => {
    stage = await Stage.start();
  });
  afterEach(() => stage.assertWell());
  after(() => stage[Symbol.asyncDispose]());

  async function setKey(namespace: string, key: string): Promise<void> {
    await stage.cluster.client.mergePatch(SECRETS, { namespace, name: 'ca-key' }, { stringData: { key } });
  }

  interface Place {
    readonly resource: ApiResource;
    readonly namespace: string;
    readonly name: string;
  }

  const issuerIn = (namespace: string): Place => ({ resource: ISSUERS, namespace, name: 'ca' });
  const requestIn = (namespace: string, name: string): Place => ({ resource: CERTIFICATE_REQUESTS, namespace, name });

  /** A JSON merge patch of the status by somebody else, lists replaced as a whole; gives the API server's answer. */
  async function meddle({ resource, namespace, name }: Place, status: unknown): Promise<number> {
    const { group, version, plural } = resource;
    const answer = await requestHttps(stage.servers.controlPlane, {
      method: 'PATCH',
      path: `/apis/${group}/${version}/namespaces/${namespace}/${plural}/${name}/status`,
      contentType: 'application/merge-patch+json',
      body: JSON.stringify({ status }),
    });
    return answer.status;
  }

  const condition = (type: string, overrides: object = {}) => ({
    type,
    status: 'False',
    reason: 'Rubbish',
    message: RUBBISH,
    lastTransitionTime: '1970-01-01T00:00:00Z',
    ...overrides,
  });

  /** Whoever issued the certificate of a request, by name. */
  function signerOf({ status }: CertificateRequest): string {
    return new X509Certificate(Buffer.from(status?.certificate ?? '', 'base64')).issuer;
  }

  function countIssued(namespace: string): number {
    return stage.program
      .readLog()
      .filter((line) => line['msg'] === 'Certificate issued' && line['namespace'] === namespace).length;
  }

  const numbered = (count: number): string[] => Array.from({ length: count }, (_, at) => `request-${at}`);

  describe('an issuer deleted and made again with the same name', () => {
    test('with another key and label, while 20 requests wait for it: the new one issues them all, once', async () => {
      const { cluster, cfssl } = stage;
      const namespace = await stage.createIssuer({ timeout: '5s' });
      await stage.waitForIssuer(namespace, 'Checked');
      const [forwardedBefore, receivedBefore] = [stage.proxy.forwarded, stage.proxy.received];
      stage.proxy.fault = { of: 'signings', make: hang };
      await Promise.all(numbered(20).map((name) => stage.createApproved(namespace, name)));
      while (stage.proxy.received - receivedBefore < 8) await sleep(5); // those that are on their way at a time
      await cluster.client.delete(ISSUERS, { namespace, name: 'ca' });
      await cluster.client.delete(SECRETS, { namespace, name: 'ca-key' });
      stage.proxy.fault = undefined;
      const isKnown = (): Promise<number> =>
        readMetric(stage.program, 'cfssl_issuer_ready', `namespace="${namespace}"`);
      while ((await isKnown()) > 0) await sleep(5);
      const spec = { url: stage.proxy.url, label: 'intermediate2', profile: 'client' };
      const { secret, issuer } = issuerManifests(cfssl, { name: 'ca', namespace, spec });
      await cluster.create({ ...secret, stringData: { key: cfssl.authKeys.client } });
      await cluster.create(issuer);
      await stage.waitForIssuer(namespace, 'Checked', MENDED_MS);
      for (const name of numbered(20)) {
        const request = await waitForReason(cluster, { namespace, name }, 'Issued');
        assert.match(signerOf(request), /Test Intermediate 2/);
      }
      assert.equal(countIssued(namespace), 20);
      assert.equal(stage.proxy.forwarded - forwardedBefore, 20);
    });
  });

  describe('a Secret that alternates every second', () => {
    test('between a right and a wrong key, while requests arrive: each is issued, once, and CFSSL is not stormed', async () => {
      const { cluster, cfssl } = stage;
      const namespace = await stage.createIssuer();
      await stage.waitForIssuer(namespace, 'Checked');
      const callsBefore = stage.proxy.calls;
      const names = numbered(20);
      for (const [at, name] of names.entries()) {
        if (at % 2 === 0) await setKey(namespace, at % 4 === 0 ? '00' : cfssl.authKeys.server);
        await stage.createApproved(namespace, name);
        await sleep(500);
      }
      await setKey(namespace, cfssl.authKeys.server);
      for (const name of names) await waitForReason(cluster, { namespace, name }, 'Issued');
      assert.equal(countIssued(namespace), names.length);
      // Each of 11 changes costs a probe and an "info", a wrong key another probe after 1 s; each request its signing and,
      // if that met a wrong key, a probe and the signing again.
      const calls = stage.proxy.calls - callsBefore;
      assert.ok(calls <= 11 * 3 + names.length * 3, `${calls} calls`);
    });
  });

  describe('status fields of an issuer filled with rubbish by somebody else', () => {
    test('are put right, and what is not ours is left alone', async () => {
      const namespace = await stage.createIssuer();
      const before = await stage.waitForIssuer(namespace, 'Checked');
      const { conditions: _, ...details } = before.status ?? {};
      const isRight = ({ status: { conditions = [], ...others } = {} }: ObjectWithConditions): boolean =>
        conditions.some(({ type, reason }) => type === 'Ready' && reason === 'Checked') &&
        JSON.stringify(others) === JSON.stringify(details);
      const ca = { subject: RUBBISH, sha256: '', notAfter: '1970-01-01T00:00:00Z' };
      for (const [status, answer] of [
        [{ conditions: [condition('Ready', { status: 'Maybe' })] }, 422],
        [{ conditions: 'none', endpoints: 5 }, 422],
        [{ conditions: [condition('Ready'), condition('Approved'), condition('')] }, 200],
        [{ conditions: [condition('Ready', { status: 'Unknown', observedGeneration: -1 })] }, 200],
        [{ conditions: [] }, 200],
        [{ endpoints: null, keyInUse: RUBBISH, ca }, 200],
        [null, 200],
      ] as const) {
        assert.equal(await meddle(issuerIn(namespace), status), answer);
        await stage.cluster.waitFor(issuerIn(namespace), isRight, { withinMs: PUT_RIGHT_MS });
      }
      assert.equal(await meddle(issuerIn(namespace), { conditions: [condition('Theirs')] }), 200);
      const mended = await stage.cluster.waitFor<ObjectWithConditions>(issuerIn(namespace), isRight, {
        withinMs: PUT_RIGHT_MS,
      });
      assert.deepEqual(mended.status?.conditions?.map(({ type }) => type).sort(), ['Ready', 'Theirs']);
      await stage.createApproved(namespace, 'request');
      await waitForReason(stage.cluster, { namespace, name: 'request' }, 'Issued');
    });

    test('do not make an issuer sign that cannot', async () => {
      const namespace = await stage.createIssuer();
      await setKey(namespace, '00');
      await stage.waitForIssuer(namespace, 'AuthenticationFailed');
      const receivedBefore = stage.proxy.received;
      await stage.createApproved(namespace, 'request');
      const lie = condition('Ready', { status: 'True', reason: 'Checked', observedGeneration: 1 });
      assert.equal(await meddle(issuerIn(namespace), { conditions: [lie] }), 200);
      await stage.createApproved(namespace, 'while-it-lies');
      await stage.waitForIssuer(namespace, 'AuthenticationFailed', MENDED_MS);
      assert.equal(stage.proxy.received, receivedBefore);
      await setKey(namespace, stage.cfssl.authKeys.server);
      for (const name of ['request', 'while-it-lies'])
        await waitForReason(stage.cluster, { namespace, name }, 'Issued');
    });
  });

  describe('status fields of a request filled with rubbish by somebody else', () => {
    test('while it waits: it is issued all the same, once, with a certificate of ours', async () => {
      const { cluster } = stage;
      const namespace = await createNamespace(cluster, 'withstand');
      const place = requestIn(namespace, 'request');
      const forwardedBefore = stage.proxy.forwarded;
      await stage.createApproved(namespace, 'request');
      const waiting = await waitForReason(cluster, place, 'Pending');
      const approved = waiting.status?.conditions?.filter(({ type }) => type === 'Approved') ?? [];
      const certificate = Buffer.from(`-----BEGIN CERTIFICATE-----\n${RUBBISH}`).toString('base64');
      for (const [status, answer] of [
        [{ conditions: [...approved, condition('Ready', { status: 'Maybe' })] }, 422],
        [{ certificate: 5, ca: [] }, 422],
        [{ conditions: [...approved, condition('Ready', { status: 'Unknown', message: 'x'.repeat(30_000) })] }, 200],
        [{ conditions: [...approved, condition('Ready', { reason: '\u0000', message: '' }), condition('Odd')] }, 200],
        [{ certificate, ca: certificate, failureTime: '1970-01-01T00:00:00Z' }, 200],
      ] as const) {
        assert.equal(await meddle(place, status), answer, JSON.stringify(status).slice(0, 200));
      }
      await stage.createIssuer({}, namespace);
      const issued = await waitForReason(cluster, place, 'Issued');
      assert.match(signerOf(issued), /Test Intermediate 1/);
      assert.equal(stage.proxy.forwarded - forwardedBefore, 1);
    });

    test('after it was issued: the same certificate is told again, and none is signed', async () => {
      const namespace = await stage.createIssuer();
      const place = requestIn(namespace, 'request');
      await stage.createApproved(namespace, 'request');
      const issued = await waitForReason(stage.cluster, place, 'Issued');
      const forwardedBefore = stage.proxy.forwarded;
      const approved = issued.status?.conditions?.filter(({ type }) => type === 'Approved') ?? [];
      for (const conditions of [[...approved, condition('Ready', { reason: 'Pending' })], approved]) {
        assert.equal(await meddle(place, { conditions }), 200);
        const again = await waitForReason(stage.cluster, place, 'Issued');
        assert.equal(again.status?.certificate, issued.status?.certificate);
      }
      assert.equal(await meddle(place, { conditions: [] }), 200);
      await judgeRequest(stage.cluster, place, 'Approved');
      const again = await waitForReason(stage.cluster, place, 'Issued');
      assert.equal(again.status?.certificate, issued.status?.certificate);
      assert.equal(stage.proxy.forwarded, forwardedBefore);
    });
  });

  describe('another writer fighting over the status', () => {
    /** For some seconds, writes that status each time that it finds another; gives how often it did. */
    async function fight(
      place: Place,
      status: object,
      isTheirs: (object: ObjectWithConditions) => boolean,
    ): Promise<number> {
      let writes = 0;
      for (const endMs = performance.now() + FIGHT_MS; performance.now() < endMs; await sleep(5)) {
        const found = await stage.cluster.client.get<ObjectWithConditions>(place.resource, place);
        if (isTheirs(found)) continue;
        assert.equal(await meddle(place, status), 200);
        writes += 1;
      }
      return writes;
    }
    const isRubbish = (object: ObjectWithConditions): boolean => readyOf(object)?.reason === 'Rubbish';

    test("of an issuer: a write or two a second, and the truth within 3 s of the fight's end", async () => {
      const namespace = await stage.createIssuer();
      await setKey(namespace, '00');
      await stage.waitForIssuer(namespace, 'AuthenticationFailed');
      await Promise.all(numbered(20).map((name) => stage.createApproved(namespace, name)));
      for (const name of numbered(20)) await waitForReason(stage.cluster, { namespace, name }, 'Pending');
      const [writesBefore, callsBefore] = [await countWrites(stage.program, 'PATCH'), stage.proxy.calls];
      const fighting = fight(issuerIn(namespace), { conditions: [condition('Ready')] }, isRubbish);
      await stage.createApproved(namespace, 'late');
      const about = { namespace, kind: 'CertificateRequest', name: 'late' };
      const told = await waitForEvent(stage.cluster, about, 'WaitingForIssuerReady');
      const late = await waitForReason(stage.cluster, { namespace, name: 'late' }, 'Pending');
      for (const text of [readyOf(late)?.message ?? '', ...told.map(({ note }) => note)]) {
        assert.doesNotMatch(text, /\p{C}/u);
        assert.ok(text.length < 5_000);
      }
      const theirs = await fighting;
      await stage.waitForIssuer(namespace, 'AuthenticationFailed', MENDED_MS);
      const [writes, calls] = [
        (await countWrites(stage.program, 'PATCH')) - writesBefore,
        stage.proxy.calls - callsBefore,
      ];
      const seconds = (FIGHT_MS + MENDED_MS) / 1_000;
      // One of the issuer, and one of the request that came in between.
      assert.ok(theirs > 1 && writes <= 2 * (seconds + 1), `${theirs} writes of theirs, ${writes} of ours`);
      assert.ok(calls <= 2 * (seconds + 1), `${calls} calls to CFSSL`);
    });

    test('of an issued request: fewer and fewer writes, no further certificate, and the truth in the end', async () => {
      const namespace = await stage.createIssuer();
      const place = requestIn(namespace, 'request');
      await stage.createApproved(namespace, 'request');
      const issued = await waitForReason(stage.cluster, place, 'Issued');
      const approved = issued.status?.conditions?.filter(({ type }) => type === 'Approved') ?? [];
      const [writesBefore, forwardedBefore] = [await countWrites(stage.program, 'PATCH'), stage.proxy.forwarded];
      const theirs = await fight(place, { conditions: [...approved, condition('Ready')] }, isRubbish);
      const again = await waitForReason(stage.cluster, place, 'Issued');
      assert.equal(again.status?.certificate, issued.status?.certificate);
      assert.equal(stage.proxy.forwarded, forwardedBefore);
      const writes = (await countWrites(stage.program, 'PATCH')) - writesBefore;
      assert.ok(theirs > 1 && writes <= 4, `${theirs} writes of theirs, ${writes} of ours after 1, 2, 4 s`);
    });

    test('of a request that waits: no write at all, until there is something to say', async () => {
      const namespace = await stage.createIssuer();
      await setKey(namespace, '00');
      await stage.waitForIssuer(namespace, 'AuthenticationFailed');
      const place = requestIn(namespace, 'request');
      await stage.createApproved(namespace, 'request');
      const waiting = await waitForReason(stage.cluster, place, 'Pending');
      const approved = waiting.status?.conditions?.filter(({ type }) => type === 'Approved') ?? [];
      const writesBefore = await countWrites(stage.program, 'PATCH');
      await fight(place, { conditions: [...approved, condition('Ready')] }, isRubbish);
      assert.equal((await countWrites(stage.program, 'PATCH')) - writesBefore, 0);
      await setKey(namespace, stage.cfssl.authKeys.server);
      await waitForReason(stage.cluster, place, 'Issued');
      assert.equal(isReady(await stage.waitForIssuer(namespace, 'Checked')), true);
    });
  });
});
