/**
 * What the Go program leaves in a cluster, by hand: its lease as client-go renews it and its manager abandons it, and its
 * statuses as it writes them, with PUT and the field manager `manager`. Signing goes through the real CFSSL.
 */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  CERTIFICATE_REQUESTS,
  type CertificateRequest,
  CLUSTER_ISSUERS,
  type Condition,
  ISSUERS,
  type Issuer,
} from '../../src/api/index.ts';
import { type KubernetesObject, LEASES, type Lease, type Resource } from '../../src/kubernetes/index.ts';
import { formatMicroTime, formatTime } from '../../src/platform/index.ts';
import type { Cluster } from '../../tools/cluster.ts';
import { requestHttps } from '../../tools/servers/https-request.ts';
import type { Cfssl, ControlPlane } from '../../tools/servers/index.ts';
import { authsign, callCfssl } from '../support/cfssl-call.ts';

/** client-go's defaults. */
const RENEW_MS = 2_000;
const LEASE_SECONDS = 15;

export const LEASE = { resource: LEASES, namespace: 'cfssl-issuer-system', name: '51059ce8.wikimedia.org' } as const;

export class GoProgram {
  readonly identity = 'cfssl-issuer-controller-manager-5d4f8c9b7-x2lqz_0b6c2d1e-7a53-4f7e-9a0c-3d5e8f1a2b4c';
  readonly #cluster: Cluster;
  readonly #controlPlane: ControlPlane;
  readonly #cfssl: Cfssl;
  readonly #stop = new AbortController();
  #renewing: Promise<void> = Promise.resolve();

  constructor({ cluster, controlPlane, cfssl }: { cluster: Cluster; controlPlane: ControlPlane; cfssl: Cfssl }) {
    this.#cluster = cluster;
    this.#controlPlane = controlPlane;
    this.#cfssl = cfssl;
  }

  /** Acquires the lease and renews it until stop(). */
  async lead(): Promise<void> {
    const { namespace, name } = LEASE;
    const time = formatMicroTime(Date.now());
    const spec = {
      holderIdentity: this.identity,
      leaseDurationSeconds: LEASE_SECONDS,
      acquireTime: time,
      renewTime: time,
    };
    await this.#cluster.client.create(LEASES, {
      metadata: { namespace, name },
      spec: { ...spec, leaseTransitions: 0 },
    });
    this.#renewing = this.#renew();
  }

  /** Ends without letting go of the lease, as controller-runtime does unless told otherwise. */
  async stop(): Promise<void> {
    this.#stop.abort(new Error('Stopped'));
    await this.#renewing;
  }

  async #renew(): Promise<void> {
    const { signal } = this.#stop;
    const { client } = this.#cluster;
    for (;;) {
      await sleep(RENEW_MS, undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      const lease = await client.get<Lease>(LEASES, LEASE);
      assert.equal(lease.spec?.holderIdentity, this.identity, 'nobody took the lease from the Go program');
      await client.update(LEASES, { ...lease, spec: { ...lease.spec, renewTime: formatMicroTime(Date.now()) } });
    }
  }

  /** The Ready condition of an issuer after its check. */
  async reportIssuer(issuer: Issuer, status: 'True' | 'False', message = 'Success'): Promise<void> {
    const ready = { type: 'Ready', status, reason: 'IssuerReconciler', message, lastTransitionTime: hourAgo() };
    await this.putIssuerStatus(issuer, { conditions: [ready] });
  }

  /** Replaces an issuer's status. */
  async putIssuerStatus(issuer: Issuer, status: object): Promise<void> {
    const resource = issuer.metadata.namespace === undefined ? CLUSTER_ISSUERS : ISSUERS;
    await this.putStatus(resource, { ...issuer, status });
  }

  /** The Ready condition of a request, beside the conditions of others. */
  async reportRequest(
    request: CertificateRequest,
    reason: string,
    message: string,
    result: object = {},
  ): Promise<void> {
    const ready: Condition = {
      type: 'Ready',
      status: reason === 'Issued' ? 'True' : 'False',
      reason,
      message,
      lastTransitionTime: hourAgo(),
    };
    const others = (request.status?.conditions ?? []).filter(({ type }) => type !== 'Ready');
    await this.putStatus(CERTIFICATE_REQUESTS, {
      ...request,
      status: { ...request.status, ...result, conditions: [...others, ready] },
    });
  }

  /** Signs a request. With a bundle it gives the chain and the root, else the leaf alone and no CA. */
  async issue(
    request: CertificateRequest & { readonly spec: { readonly request: string } },
    { label, profile, bundle = false }: { label: 'intermediate1' | 'intermediate2'; profile: string; bundle?: boolean },
  ): Promise<void> {
    const { authKeys, intermediatePems, rootPem } = this.#cfssl;
    const csr = Buffer.from(request.spec.request, 'base64').toString('utf8');
    const answer = await callCfssl(
      this.#cfssl,
      authsign(authKeys.server, { certificate_request: csr, label, profile }),
    );
    const { result } = JSON.parse(answer.body) as { readonly result: { readonly certificate: string } };
    const encode = (pem: string): string => Buffer.from(pem).toString('base64');
    const certificate = encode(bundle ? `${result.certificate}${intermediatePems[label]}` : result.certificate);
    await this.reportRequest(request, 'Issued', 'Signed', { certificate, ...(bundle ? { ca: encode(rootPem) } : {}) });
  }

  /** Replaces the status, as `Status().Update()` does. */
  async putStatus(resource: Resource, object: KubernetesObject & { readonly status: object }): Promise<void> {
    const { group, version, plural, kind } = resource;
    const { namespace, name } = object.metadata;
    const place = namespace === undefined ? plural : `namespaces/${namespace}/${plural}`;
    const answer = await requestHttps(this.#controlPlane, {
      method: 'PUT',
      path: `/apis/${group}/${version}/${place}/${name}/status?fieldManager=manager`,
      contentType: 'application/json',
      body: JSON.stringify({ apiVersion: `${group}/${version}`, kind, ...object }),
    });
    assert.equal(answer.status, 200, answer.body);
  }
}

function hourAgo(): string {
  return formatTime(Date.now() - 3_600_000);
}
