/**
 * What a kind of request tells about itself; all else about requests is the same for every kind. There are two:
 * cert-manager's CertificateRequest and Kubernetes' CertificateSigningRequest.
 */
import type { ApiResource, Condition, ObjectMeta } from '../api/index.ts';
import type { KubernetesClient } from '../kubernetes/index.ts';
import type { Decision, DecisionInput, DecisionPolicy } from './decide.ts';
import type { FinalOutcome } from './final-outcomes.ts';
import type { IssuerTarget } from './issuer-reference.ts';
import type { ReadyIssuer } from './issuer-session.ts';
import type { RequestOutcome } from './request-status.ts';
import type { SigningInput } from './sign.ts';

/** What requests of all kinds have. */
export interface AnyRequest {
  readonly metadata: ObjectMeta;
  /** Who created it. */
  readonly spec: { readonly username?: string };
  readonly status?: { readonly conditions?: readonly Condition[] };
}

export interface RequestKind<R extends AnyRequest> {
  readonly resource: ApiResource;
  /** Has the API server leave out some that are not ours. */
  readonly fieldSelector: string;
  /** Cuts a request down to what is kept of it. */
  readonly prune?: (request: R) => R;
  /** Whether a status tells that a request waits and why; if not, events alone do. */
  readonly hasPendingStatus: boolean;
  /** The issuer that it names, or undefined when that is not one of ours. */
  targetOf(request: R): IssuerTarget | undefined;
  /** Whether nothing will ever be done about it again. */
  isFinished(request: R): boolean;
  decide(input: DecisionInput<R>, policy: DecisionPolicy): Decision;
  /** Why its creator may not use the issuer; undefined when it may. Without this, everybody may who can create it. */
  findObjection?(
    request: R,
    target: IssuerTarget,
    call: { readonly client: Pick<KubernetesClient, 'create'>; readonly signal: AbortSignal },
  ): Promise<string | undefined>;
  /** The end that it had before somebody undid its condition, if the certificate is still there. */
  findIssued?(request: R, issuer: ReadyIssuer, nowMs: number): FinalOutcome | undefined;
  signingInputOf(request: R): SigningInput;
  /** The status to apply, or undefined when there is nothing to write. */
  buildStatus(request: R, outcome: RequestOutcome, nowMs: number): object | undefined;
  /** An outcome in the words of its status and its event. */
  messageOf(outcome: RequestOutcome): string;
}
