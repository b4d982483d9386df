/** Kubernetes' CertificateSigningRequest as a kind of request. */
import {
  CERTIFICATE_SIGNING_REQUESTS,
  type CertificateSigningRequest,
  type ResourceAttributes,
  SUBJECT_ACCESS_REVIEWS,
} from '../api/index.ts';
import { targetOfSigner } from './issuer-reference.ts';
import type { RequestKind } from './request-kind.ts';
import { decideSigningRequest, isFinishedSigningRequest } from './signing-request-decision.ts';
import { signingInputOfSigningRequest } from './signing-request-input.ts';
import { findObjection } from './signing-request-reference.ts';
import { buildSigningRequestStatus, messageOfSigningRequest } from './signing-request-status.ts';

/** Kubernetes' own signers: every node makes requests of them. */
const FOREIGN_SIGNERS = ['kube-apiserver-client', 'kube-apiserver-client-kubelet', 'kubelet-serving'] as const;

export const signingRequestKind: RequestKind<CertificateSigningRequest> = {
  resource: CERTIFICATE_SIGNING_REQUESTS,
  fieldSelector: FOREIGN_SIGNERS.map((name) => `spec.signerName!=kubernetes.io/${name}`).join(','),
  hasPendingStatus: false,
  targetOf: ({ spec }) => targetOfSigner(spec.signerName),
  isFinished: isFinishedSigningRequest,
  decide: decideSigningRequest,
  findObjection,
  signingInputOf: signingInputOfSigningRequest,
  buildStatus: buildSigningRequestStatus,
  messageOf: messageOfSigningRequest,
};

const { group, plural: resource } = CERTIFICATE_SIGNING_REQUESTS;

/** What has to be permitted beyond what CertificateRequests need, but for the verb `sign`, which is granted by signer. */
export const SIGNING_REQUEST_PERMISSIONS: readonly ResourceAttributes[] = [
  { group, resource, verb: 'get' },
  { group, resource, verb: 'list' },
  { group, resource, verb: 'watch' },
  { group, resource, subresource: 'status', verb: 'patch' },
  { group: SUBJECT_ACCESS_REVIEWS.group, resource: SUBJECT_ACCESS_REVIEWS.plural, verb: 'create' },
];
