/** Very many issuers, and very many requests that are none of ours: each of ours gets what is true, quickly, in little memory. */
import assert from 'node:assert/strict';
import { readdirSync, readlinkSync } from 'node:fs';
import { before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { CERTIFICATE_REQUESTS, type CertificateRequest, ISSUERS } from '../src/api/index.ts';
import { EVENTS } from '../src/kubernetes/index.ts';
import { type ObjectWithConditions, resourceOf } from '../tools/cluster.ts';
import { startIssuer } from '../tools/issuer-process.ts';
import { createCsr } from './support/csr.ts';
import {
  createNamespace,
  getServers,
  issuerManifests,
  judgeRequest,
  readyOf,
  type Servers,
  waitForReason,
} from './support/environment.ts';
import type { Event } from './support/events.ts';
import { countWrites, residentMiB } from './support/metrics.ts';
import { forEachInParallel } from './support/parallel.ts';

const GROUP = 'cfssl-issuer.wikimedia.org';
const CREATORS = 24;
const GOOD = 100;
const OF_EACH_BROKEN_KIND = 10;
const FOREIGN = 10_000;
/** Most of it is the two TLS connections of each: the watch of its Secret, and to CFSSL. */
const MAX_MIB_PER_ISSUER = 1;
/** The budget for what a list of 10,000 may cost while it is read. */
const MAX_FOREIGN_MIB = 40;

let servers: Servers;
let request: string;

describe('the program withstands crowds:', () => {
  before(async () => {
    servers = await getServers('withstand');
    request = Buffer.from(await createCsr()).toString('base64');
  });

  const numbered = (count: number): string[] => Array.from({ length: count }, (_, at) => `item-${at}`);

  async function createRequestFor(namespace: string, name: string, issuerRef: object): Promise<void> {
    const kind = { apiVersion: 'cert-manager.io/v1', kind: 'CertificateRequest' };
    await servers.cluster.create({ ...kind, metadata: { namespace, name }, spec: { request, issuerRef } });
  }

  describe('200 issuers', () => {
    /** Ways to be broken: what of the spec or the Secret is wrong, and the reason that tells it. */
    const broken: readonly { readonly reason: string; readonly spec?: object; readonly key?: string | null }[] = [
      { reason: 'AuthenticationFailed', key: '00ff' },
      { reason: 'InvalidSecret', key: 'no hexadecimal digits' },
      { reason: 'SecretNotFound', key: null },
      { reason: 'UnknownLabel', spec: { label: 'nobody' } },
      { reason: 'UnknownProfile', spec: { profile: 'nothing' } },
      { reason: 'InvalidSpec', spec: { url: 'ftp://nowhere' } },
      { reason: 'Unreachable', spec: { url: 'http://127.0.0.1:1' } },
      { reason: 'TLSFailed', spec: { tls: {} } },
      { reason: 'NotCFSSL', spec: { path: '/elsewhere' } },
      { reason: 'InvalidConfigMap', spec: { chain: { configMapRef: { name: 'roots', key: 'no-such-field' } } } },
    ];

    interface Wanted {
      readonly name: string;
      readonly reason: string;
      readonly spec: object;
      readonly key: string | null | undefined;
    }

    function plan(): readonly Wanted[] {
      const good = Array.from({ length: GOOD }, (_, at) => ({
        name: `good-${at}`,
        reason: 'Checked',
        spec: { label: at % 2 === 0 ? 'intermediate1' : 'intermediate2' },
        key: undefined,
      }));
      const { url } = servers.cfssl;
      const bad = broken.flatMap(({ reason, spec = {}, key }) =>
        Array.from({ length: OF_EACH_BROKEN_KIND }, (_, at) => ({
          name: `${reason.toLowerCase()}-${at}`,
          reason,
          spec: 'path' in spec ? { url: `${url}${String(spec.path)}` } : spec,
          key,
        })),
      );
      // Mixed, so that none of a kind comes first.
      return good.flatMap((one, at) => [one, bad[at]].filter((wanted) => wanted !== undefined));
    }

    test('each get their true condition within 15 s, and those that are good issue', async (t) => {
      const { cluster, cfssl, controlPlane } = servers;
      await using program = await startIssuer({ access: controlPlane });
      const beforeMiB = residentMiB(program.pid);
      const namespace = await createNamespace(cluster, 'crowd');
      const wanted = plan();
      t.after(() =>
        forEachInParallel(wanted, CREATORS, ({ name }) => cluster.client.delete(ISSUERS, { namespace, name })),
      );
      await cluster.create({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'roots', namespace }, data: {} });
      assert.equal(wanted.length, 200);
      const manifests = wanted.map(({ name, spec, key }) => {
        const { secret, issuer } = issuerManifests(cfssl, { name, namespace, spec });
        return {
          issuer,
          secret: key === null ? undefined : key === undefined ? secret : { ...secret, stringData: { key } },
        };
      });
      await forEachInParallel(manifests, CREATORS, async ({ secret }) => secret && (await cluster.create(secret)));
      await forEachInParallel(manifests, CREATORS, ({ issuer }) => cluster.create(issuer));
      const createdMs = performance.now();
      const reasonOf = new Map(wanted.map(({ name, reason }) => [name, reason]));
      for (let wrong: string[] = ['all']; wrong.length > 0; await sleep(100)) {
        const { items } = await cluster.client.list<ObjectWithConditions>(ISSUERS, { namespace });
        wrong = items
          .filter((issuer) => readyOf(issuer)?.reason !== reasonOf.get(issuer.metadata.name))
          .map((issuer) => `${issuer.metadata.name}: ${JSON.stringify(readyOf(issuer))}`);
        assert.ok(performance.now() - createdMs < 15_000, wrong.join('\n'));
      }
      t.diagnostic(`all conditions after ${Math.round(performance.now() - createdMs)} ms`);

      const good = wanted.filter(({ reason }) => reason === 'Checked');
      const startMs = performance.now();
      await forEachInParallel(good, CREATORS, async ({ name }) => {
        await createRequestFor(namespace, name, { group: GROUP, kind: 'Issuer', name });
        await judgeRequest(cluster, { namespace, name }, 'Approved');
      });
      for (const { name } of good) await waitForReason(cluster, { namespace, name }, 'Issued');
      const issued = program.readLog().filter(({ msg }) => msg === 'Certificate issued');
      assert.equal(issued.length, GOOD);
      t.diagnostic(`${GOOD} requests issued ${Math.round(performance.now() - startMs)} ms after the first was made`);

      const connections = readdirSync(`/proc/${program.pid}/fd`).filter((fd) => isSocket(program.pid, fd)).length;
      const grownMiB = residentMiB(program.pid) - beforeMiB;
      t.diagnostic(`${connections} connections, ${grownMiB} MiB more than before, ${residentMiB(program.pid)} in all`);
      assert.ok(grownMiB < MAX_MIB_PER_ISSUER * wanted.length, `${grownMiB} MiB`);
      // A status for each issuer, and perhaps one on the way to it; one for each request.
      const writes = await countWrites(program, 'PATCH');
      assert.ok(writes <= 2 * wanted.length + GOOD, `${writes} writes`);
    });

    function isSocket(pid: number, fd: string): boolean {
      try {
        return readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith('socket:');
      } catch {
        return false; // closed meanwhile
      }
    }
  });

  describe('10,000 requests of other issuers', () => {
    const CRDS = resourceOf({ apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition' });
    interface Crd extends ObjectWithConditions {
      readonly spec: { readonly versions: readonly { selectableFields?: unknown }[] };
    }

    let namespace: string;
    /** What the program needs where there is nothing. */
    let idleMiB: number;
    before(async () => {
      const idle = await startIssuer({ access: servers.controlPlane });
      idleMiB = residentMiB(idle.pid);
      await idle[Symbol.asyncDispose]();
      namespace = await createNamespace(servers.cluster, 'foreign');
      const names = numbered(FOREIGN);
      await forEachInParallel(names, CREATORS, (name) =>
        createRequestFor(namespace, name, { group: 'other.example', kind: 'Issuer', name: 'ca' }),
      );
    });

    test('cost no time, no memory and no write', (t) => assertUnbothered(t, 3_000));

    test('nor do they where cert-manager is too old to leave them out', async (t) => {
      const selectable = await setSelectableFields(undefined);
      try {
        await assertUnbothered(t, 10_000);
      } finally {
        await setSelectableFields(selectable);
      }
    });

    async function assertUnbothered(
      t: { readonly diagnostic: (text: string) => void },
      withinMs: number,
    ): Promise<void> {
      const { cluster, cfssl, controlPlane } = servers;
      const ours = await createNamespace(cluster, 'ours');
      const { secret, issuer } = issuerManifests(cfssl, { name: 'ca', namespace: ours });
      await cluster.create(secret);
      await cluster.create(issuer);
      await createRequestFor(ours, 'request', { group: GROUP, kind: 'Issuer', name: 'ca' });
      await judgeRequest(cluster, { namespace: ours, name: 'request' }, 'Approved');
      const versionsBefore = await readVersions();
      assert.equal(versionsBefore.length, FOREIGN);

      await using program = await startIssuer({ access: controlPlane });
      const startMs = performance.now();
      await waitForReason(cluster, { namespace: ours, name: 'request' }, 'Issued');
      const tookMs = Math.round(performance.now() - startMs);
      const mib = residentMiB(program.pid);
      t.diagnostic(`issued ${tookMs} ms after the start, ${mib} MiB resident, ${idleMiB} MiB where there is nothing`);
      assert.ok(tookMs < withinMs, `${tookMs} ms`);
      assert.ok(mib - idleMiB < MAX_FOREIGN_MIB, `${mib - idleMiB} MiB more`);
      assert.deepEqual(await readVersions(), versionsBefore);
      const { items } = await cluster.client.list<Event>(EVENTS, { namespace });
      assert.deepEqual(items, []);
      await cluster.client.delete(ISSUERS, { namespace: ours, name: 'ca' });
    }

    async function readVersions(): Promise<readonly string[]> {
      const { items } = await servers.cluster.client.list<CertificateRequest>(CERTIFICATE_REQUESTS, { namespace });
      return items.map(({ metadata: { name, resourceVersion } }) => `${name} ${resourceVersion}`);
    }

    /** Sets by which fields the API server selects requests; gives those before. */
    async function setSelectableFields(fields: unknown): Promise<unknown> {
      const at = { name: `${CERTIFICATE_REQUESTS.plural}.${CERTIFICATE_REQUESTS.group}` };
      const crd = structuredClone(await servers.cluster.client.get<Crd>(CRDS, at));
      const [version] = crd.spec.versions;
      assert.ok(version !== undefined);
      const before = version.selectableFields;
      if (fields === undefined) delete version.selectableFields;
      else version.selectableFields = fields;
      await servers.cluster.client.update(CRDS, crd);
      return before;
    }
  });
});
