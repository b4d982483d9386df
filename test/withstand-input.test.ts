/**
 * What users should not write into issuers and Secrets: the program does not crash, does not storm, says what is true, and
 * holds up nobody else.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, afterEach, before, describe, test } from 'node:test';
import { isInvalid } from '../src/kubernetes/index.ts';
import { encodePem } from '../src/x509/index.ts';
import { type At, isReady, type Manifest, type ObjectWithConditions, resourceOf } from '../tools/cluster.ts';
import { createNamespace, issuerManifests, waitForReason } from './support/environment.ts';
import { countWrites, readMetric } from './support/metrics.ts';
import { Stage } from './support/stage.ts';

const MIB = 1 << 20;

let stage: Stage;

describe('the program withstands what users write:', () => {
  before(async () => {
    stage = await Stage.start();
  });
  afterEach(() => stage.assertWell());
  after(() => stage[Symbol.asyncDispose]());

  async function assertIssues(namespace: string, name: string): Promise<void> {
    await stage.createApproved(namespace, name);
    await waitForReason(stage.cluster, { namespace, name }, 'Issued');
  }

  describe('bad URLs of every kind', () => {
    const urls: readonly (readonly [url: string, reason: string])[] = [
      ['http://', 'InvalidSpec'],
      ['https:///path', 'InvalidSpec'],
      ['http://[::1', 'InvalidSpec'],
      ['http://host:99999', 'InvalidSpec'],
      [Array.from({ length: 400 }, (_, at) => `http://host-${at}`).join(), 'InvalidSpec'],
      ['http://a b', 'InvalidSpec'],
      ['http://user:geheim@host', 'InvalidSpec'],
      ['http://host?token=geheim', 'InvalidSpec'],
      ['http://host#fragment', 'InvalidSpec'],
      ['ftp://host', 'InvalidSpec'],
      ['javascript:alert(1)', 'InvalidSpec'],
      ['file:///etc/passwd', 'InvalidSpec'],
      ['http://%zz', 'InvalidSpec'],
      ['http://host\\path', 'InvalidSpec'],
      ['\u0000\u001b[31m\n', 'InvalidSpec'],
      ['http://😀 %s %n', 'InvalidSpec'],
      [`http://${'a'.repeat(8_000)}`, 'InvalidSpec'],
      ['http://127.0.0.1:0', 'Unreachable'],
      ['http://127.0.0.1:1', 'Unreachable'],
      ['no_such_host.invalid,,http://-.-', 'Unreachable'],
    ];

    test(`${urls.length} of them at once each get their condition, and hold up no good issuer`, async () => {
      const { cluster, cfssl } = stage;
      const namespace = await createNamespace(cluster, 'urls');
      const [writesBefore, checksBefore] = [await countWrites(stage.program, 'PATCH'), await countChecks()];
      const good = issuerManifests(cfssl, { name: 'ca', namespace });
      await cluster.create(good.secret);
      const startMs = performance.now();
      const issuersAt = await Promise.all(
        urls.map(([url], at) =>
          stage.create(
            issuerManifests(cfssl, { name: `bad-${at}`, namespace, spec: { url, authSecretName: 'ca-key' } }).issuer,
          ),
        ),
      );
      await stage.create(good.issuer);
      await assertIssues(namespace, 'request');
      for (const [at, [url, reason]] of urls.entries()) {
        const issuerAt = issuersAt[at];
        assert.ok(issuerAt !== undefined);
        const { message } = await stage.waitForProblem(issuerAt, reason);
        assert.doesNotMatch(message ?? '', /geheim/, url);
      }
      const seconds = (performance.now() - startMs) / 1000;
      // Two for each issuer, as its Secret is seen after its first check at the latest. Checks after 0, 1, 3, then every 5 s.
      const [writes, checks] = [
        (await countWrites(stage.program, 'PATCH')) - writesBefore,
        (await countChecks()) - checksBefore,
      ];
      assert.ok(writes <= 2 * (urls.length + 1) + 2, `${writes} writes`);
      assert.ok(checks <= (urls.length + 1) * (4 + seconds / 5), `${checks} checks`);
    });

    async function countChecks(): Promise<number> {
      return await readMetric(stage.program, 'controller_runtime_reconcile_total', 'controller="issuer"');
    }
  });

  describe('Secrets with binary rubbish', () => {
    const noise = randomBytes(64);
    const rows: readonly {
      readonly what: string;
      readonly data: Record<string, Uint8Array>;
      readonly spec?: object;
    }[] = [
      { what: 'random bytes', data: { key: noise } },
      { what: 'nothing but NUL', data: { key: Buffer.alloc(32) } },
      { what: 'an empty key', data: { key: Buffer.of() } },
      { what: 'almost 1 MiB of 0xff', data: { key: Buffer.alloc(MIB - 1024, 0xff) } },
      { what: 'a BOM before the key', data: { key: Buffer.from('\ufeff00ff', 'utf16le') } },
      { what: 'ANSI escapes', data: { key: Buffer.from('\u001b[31m00ff\u001b[0m') } },
      { what: 'a reference to a file', data: { key: Buffer.from('file:/etc/passwd') } },
      { what: 'another field only', data: { '.constructor': noise } },
      { what: 'a rubbish key_next', data: { key: Buffer.from('00ff'), key_next: noise } },
      {
        what: 'rubbish as the CA to trust',
        data: { key: Buffer.from('00ff'), 'ca.pem': noise },
        spec: { tls: { ca: { secretRef: { name: 'ca-key', key: 'ca.pem' } } } },
      },
      {
        what: 'a PEM block of rubbish as the chain',
        data: { key: Buffer.from('00ff'), 'ca.pem': Buffer.from(encodePem('CERTIFICATE', noise)) },
        spec: { chain: { secretRef: { name: 'ca-key', key: 'ca.pem' } } },
      },
    ];

    test('each get a condition that tells the field and shows nothing of it, and heal at once', async () => {
      const { cluster, cfssl } = stage;
      const namespace = await createNamespace(cluster, 'secrets');
      const names = rows.map((_, at) => `rubbish-${at}`);
      const issuersAt = await Promise.all(
        rows.map(async ({ data, spec }, at) => {
          const rename = JSON.parse(JSON.stringify(spec ?? {}).replaceAll('ca-key', `${names[at]}-key`)) as object;
          const manifests = issuerManifests(cfssl, { name: names[at] ?? '', namespace, spec: rename });
          const { stringData: _, ...secret } = manifests.secret;
          await cluster.create({ ...secret, data: toBase64(data) });
          return await stage.create(manifests.issuer);
        }),
      );
      for (const [at, { what }] of rows.entries()) {
        const issuerAt = issuersAt[at];
        assert.ok(issuerAt !== undefined);
        const { message = '' } = await stage.waitForProblem(issuerAt, 'InvalidSecret');
        assert.match(message, new RegExp(`Secret ${namespace}/${names[at]}-key`), what);
        assert.doesNotMatch(message, /00ff|passwd/, what);
      }
      for (const name of names) {
        const data = toBase64({ key: Buffer.from(cfssl.authKeys.server), 'ca.pem': Buffer.from(cfssl.rootPem) });
        const secret = { resource: resourceOf({ apiVersion: 'v1', kind: 'Secret' }), namespace, name: `${name}-key` };
        await cluster.client.mergePatch(secret.resource, secret, { data: { ...data, key_next: null } });
      }
      for (const at of issuersAt) await cluster.waitFor<ObjectWithConditions>(at, (found) => isReady(found));
    });

    test('as additional data and as client certificate are told too', async () => {
      const { cluster, cfssl } = stage;
      const namespace = await createNamespace(cluster, 'secrets');
      const key = Buffer.from(cfssl.authKeys.server);
      const additional = issuerManifests(cfssl, { name: 'additional', namespace });
      const client = issuerManifests(cfssl, {
        name: 'client',
        namespace,
        spec: { tls: { clientCertificateSecretName: 'client-key', ca: { pem: cfssl.caPem } } },
      });
      for (const [{ secret }, data] of [
        [additional, { key, additional_data: noise }],
        [client, { key, 'tls.crt': noise, 'tls.key': noise }],
      ] as const) {
        const { stringData: _, ...rest } = secret;
        await cluster.create({ ...rest, data: toBase64(data) });
      }
      await stage.waitForProblem(await stage.create(additional.issuer), 'AuthenticationFailed');
      await stage.waitForProblem(await stage.create(client.issuer), 'TLSFailed');
    });

    function toBase64(data: Readonly<Record<string, Uint8Array>>): Record<string, string> {
      return Object.fromEntries(
        Object.entries(data).map(([name, bytes]) => [name, Buffer.from(bytes).toString('base64')]),
      );
    }
  });

  describe('names that are no names', () => {
    test('of Secrets are told as not found, whatever is in them', async () => {
      const { cluster, cfssl } = stage;
      const namespace = await createNamespace(cluster, 'names');
      const names = ['a,metadata.namespace=kube-system', 'a=b\\', '../../etc', '\u001b[31m\u0000\n😀', '%2e%2e', ' '];
      const issuersAt = await Promise.all(
        names.map((authSecretName, at) =>
          stage.create(issuerManifests(cfssl, { name: `named-${at}`, namespace, spec: { authSecretName } }).issuer),
        ),
      );
      for (const at of issuersAt) await stage.waitForProblem(at, 'SecretNotFound');
    });
  });

  describe('labels of 1 MiB', () => {
    const CRDS = resourceOf({ apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition' });
    const CRD = { name: 'issuers.cfssl-issuer.wikimedia.org' };

    interface Crd extends ObjectWithConditions {
      readonly spec: { readonly versions: readonly { schema: { openAPIV3Schema: { properties: CrdProperties } } }[] };
    }
    interface CrdProperties {
      readonly spec: { readonly properties: { readonly label: { maxLength?: number } } };
    }

    test('are refused at admission, and from before there was a limit are told as InvalidSpec', async () => {
      const { cluster, cfssl } = stage;
      const namespace = await createNamespace(cluster, 'labels');
      const { secret, issuer } = issuerManifests(cfssl, {
        name: 'ca',
        namespace,
        spec: { label: 'x'.repeat(MIB) },
      });
      await cluster.create(secret);
      await assert.rejects(cluster.create(issuer), isInvalid);
      const limit = await setLimit(undefined);
      try {
        const issuerAt = await createOnceAllowed(issuer);
        const { message } = await stage.waitForProblem(issuerAt, 'InvalidSpec');
        assert.match(message ?? '', /^spec\.label: /);
      } finally {
        await setLimit(limit);
      }
    });

    test('and of 1024 characters of any kind are told as unknown', async () => {
      const { cluster, cfssl } = stage;
      const namespace = await createNamespace(cluster, 'labels');
      const label = '%s\u001b[2J\u0000\r\n😀\u202e"\\'.repeat(100).slice(0, 1_000);
      const { secret, issuer } = issuerManifests(cfssl, { name: 'ca', namespace, spec: { label, profile: label } });
      await cluster.create(secret);
      const { message } = await stage.waitForProblem(await stage.create(issuer), 'UnknownLabel');
      assert.match(message ?? '', /check spec\.label \("%s/);
    });

    /** Sets the length that the API server allows a label; gives the one before. */
    async function setLimit(maxLength: number | undefined): Promise<number | undefined> {
      const crd = structuredClone(await stage.cluster.client.get<Crd>(CRDS, CRD));
      const label = crd.spec.versions[0]?.schema.openAPIV3Schema.properties.spec.properties.label;
      assert.ok(label !== undefined);
      const before = label.maxLength;
      if (maxLength === undefined) delete label.maxLength;
      else label.maxLength = maxLength;
      await stage.cluster.client.update(CRDS, crd);
      return before;
    }

    /** The API server takes up a changed CRD a moment later. */
    async function createOnceAllowed(issuer: Manifest): Promise<At> {
      for (;;) {
        try {
          return await stage.create(issuer);
        } catch (error) {
          if (!isInvalid(error)) throw error;
        }
      }
    }
  });
});
