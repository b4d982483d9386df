/**
 * The main job on real servers, however the issuer is started: cert-manager's own controllers turn a Certificate into a
 * Secret through our issuer and each of CFSSL's two servers. What is judged is the Secret, by OpenSSL.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { isReady, type ObjectWithConditions, resourceOf } from '../../tools/cluster.ts';
import { type Cfssl, startCfsslServe } from '../../tools/servers/index.ts';
import { verifySecret } from '../../tools/verify.ts';
import { createNamespace, type Environment, issuerManifests } from './environment.ts';

const CERTIFICATES = resourceOf({ apiVersion: 'cert-manager.io/v1', kind: 'Certificate' });

/** Declares the tests, for an environment whose controllers of cert-manager run. */
export function testCertificates(getEnvironment: () => Promise<Environment>): void {
  let serve: Cfssl;
  before(async () => {
    serve = await startCfsslServe();
  });
  after(() => serve.stop());

  const ways = [
    ['Issuer', 'multirootca'],
    ['ClusterIssuer', 'multirootca'],
    ['Issuer', 'cfssl serve'],
    ['ClusterIssuer', 'cfssl serve'],
  ] as const;
  for (const [kind, server] of ways) {
    test(`through ${kind === 'Issuer' ? 'an Issuer' : 'a ClusterIssuer'} and ${server}`, async () => {
      const { cluster, issuer, ...environment } = await getEnvironment();
      const cfssl = server === 'multirootca' ? environment.cfssl : serve;
      const namespace = await createNamespace(cluster, 'e2e');
      const name = `${namespace}-ca`;
      const manifests = issuerManifests(cfssl, kind === 'Issuer' ? { name, namespace } : { name });
      await cluster.create(manifests.secret);
      await cluster.create(manifests.issuer);
      await cluster.create({
        apiVersion: 'cert-manager.io/v1',
        kind: 'Certificate',
        metadata: { name: 'web', namespace },
        spec: {
          secretName: 'web-tls',
          commonName: 'web.example.com',
          dnsNames: ['web.example.com', 'www.example.com'],
          ipAddresses: ['192.0.2.1', '2001:db8::1'],
          uris: ['spiffe://example.com/web'],
          emailAddresses: ['web@example.com'],
          issuerRef: { group: 'cfssl-issuer.wikimedia.org', kind, name },
        },
      });
      const at = { resource: CERTIFICATES, namespace, name: 'web' };
      const certificate = await cluster.waitFor<ObjectWithConditions>(at, (found) => isReady(found));

      const known = { rootPem: cfssl.rootPem, intermediatePems: [] };
      const { leaf, chain, ca } = await verifySecret(cluster, certificate, known);
      assert.equal(leaf.subject, 'CN=web.example.com');
      assert.deepEqual(leaf.subjectAltName?.split(', ').sort(), [
        'DNS:web.example.com',
        'DNS:www.example.com',
        'IP Address:192.0.2.1',
        'IP Address:2001:DB8:0:0:0:0:0:1',
        'URI:spiffe://example.com/web',
        'email:web@example.com',
      ]);
      assert.equal(chain.length, 3, 'leaf, intermediate and root, the intermediate from the Secret alone');
      assert.equal(ca?.subject, chain.at(-1)?.subject);

      const line = issuer
        .readLog()
        .find((record) => record['msg'] === 'Certificate issued' && record['namespace'] === namespace);
      assert.ok(line !== undefined, 'there is an audit line');
      assert.equal(line['serial'], leaf.serialNumber.toLowerCase().replace(/^0+/, ''));
      assert.equal(line['sha256'], leaf.fingerprint256.replaceAll(':', '').toLowerCase());
      assert.equal(line['issuer'], kind === 'Issuer' ? `Issuer/${namespace}/${name}` : `ClusterIssuer/${name}`);
    });
  }

  test('and neither log nor metrics hold a key, a token or a request', async () => {
    const { cfssl, issuer } = await getEnvironment();
    const metrics = await (await fetch(`${issuer.metricsUrl}/metrics`)).text();
    const output = JSON.stringify(issuer.readLog()) + metrics;
    for (const secret of [cfssl.authKeys.server, 'BEGIN CERTIFICATE', 'PRIVATE KEY']) {
      assert.equal(output.includes(secret), false, `found ${secret.slice(0, 5)}…`);
    }
    assert.match(metrics, /cfssl_issuer_signings_total\{kind="Issuer",.*result="issued"\} 1/);
    assert.match(metrics, /controller_runtime_reconcile_total\{controller="certificaterequest",result="success"\}/);
    assert.match(metrics, /rest_client_requests_total/);
    assert.match(metrics, /workqueue_depth/);
  });
}
