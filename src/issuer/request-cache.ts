/**
 * What the cache keeps of a request. An open one is kept whole; of a finished one, which is never worked on again, only
 * what tells that it is finished, so that a cluster full of old requests costs little memory.
 */
import { type CertificateRequest, INVALID_REQUEST, READY } from '../api/index.ts';
import { findCondition, isTrue } from './conditions.ts';

/** Whether nothing will ever be done about the request again. */
export function isFinished(request: CertificateRequest): boolean {
  const ready = findCondition(request.status?.conditions, READY);
  if (ready?.status === 'True') return true;
  if (ready?.status === 'False' && (ready.reason === 'Failed' || ready.reason === 'Denied')) return true;
  return isTrue(request.status?.conditions, INVALID_REQUEST);
}

export function pruneRequest(request: CertificateRequest): CertificateRequest {
  const { name, namespace, uid, resourceVersion, creationTimestamp, deletionTimestamp } = request.metadata;
  const metadata = {
    name,
    uid,
    resourceVersion,
    creationTimestamp,
    ...(namespace === undefined ? {} : { namespace }),
    ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
  };
  const { conditions, certificate, ca } = request.status ?? {};
  if (!isFinished(request)) {
    const { request: csr, issuerRef, isCA, usages, duration, username } = request.spec;
    const spec = {
      request: csr,
      issuerRef,
      ...(isCA === undefined ? {} : { isCA }),
      ...(usages === undefined ? {} : { usages }),
      ...(duration === undefined ? {} : { duration }),
      ...(username === undefined ? {} : { username }),
    };
    const status = {
      ...(conditions === undefined ? {} : { conditions }),
      ...(certificate === undefined ? {} : { certificate }),
      ...(ca === undefined ? {} : { ca }),
    };
    return { metadata, spec, ...(request.status === undefined ? {} : { status }) };
  }
  const decisive = (conditions ?? []).filter(({ type }) => type === READY || type === INVALID_REQUEST);
  return {
    metadata,
    spec: { request: '', issuerRef: request.spec.issuerRef },
    status: { conditions: decisive.map(({ type, status, reason = '' }) => ({ type, status, reason })) },
  };
}
