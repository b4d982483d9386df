/**
 * Every reason that a condition of ours can have and every event that we send, for people: what it means and what to do.
 * The reference in docs/ is generated from it; the compiler holds it to the reasons that there are.
 */
import type { IssuerReason, RequestReason } from '../api/index.ts';

export interface Explanation {
  readonly meaning: string;
  readonly remedy: string;
}

export const ISSUER_REASONS: Readonly<Record<IssuerReason, Explanation>> = {
  Checked: { meaning: 'CFSSL knows label and profile and accepts the key. The issuer is Ready.', remedy: 'Nothing.' },
  InvalidSpec: { meaning: 'A field of the spec cannot be used.', remedy: 'Mend the field that the message names.' },
  SecretNotFound: { meaning: 'A Secret that the spec names does not exist.', remedy: 'Create it, or mend its name.' },
  InvalidSecret: {
    meaning: 'A field of a Secret is missing or cannot be used.',
    remedy: 'Mend the field that the message names. A key is hexadecimal text of even length.',
  },
  ConfigMapNotFound: {
    meaning: 'A ConfigMap that the spec names does not exist.',
    remedy: 'Create it, or mend its name.',
  },
  InvalidConfigMap: {
    meaning: 'A field of a ConfigMap is missing or holds no certificate.',
    remedy: 'Mend the field that the message names.',
  },
  AccessDenied: {
    meaning: 'The controller may not read a Secret or ConfigMap.',
    remedy: 'Grant its ServiceAccount get and watch on that object.',
  },
  AuthenticationFailed: {
    meaning: 'CFSSL refuses the key or the additional data.',
    remedy:
      'Compare "key" and "additional_data" of the Secret with the auth_key of the profile in CFSSL\'s configuration.',
  },
  AuthenticationNotConfigured: {
    meaning: "The profile in CFSSL's configuration has no auth_key.",
    remedy: 'Give it one. CFSSL does not inherit it from the default profile.',
  },
  AddressNotAllowed: {
    meaning: 'The label\'s "nets" in CFSSL\'s roots file do not hold the address that the controller comes from.',
    remedy: 'Add that address; behind NAT it is not that of the pod.',
  },
  UnknownLabel: {
    meaning: 'CFSSL has no signer of that label.',
    remedy: 'Mend spec.label, or the roots file of CFSSL.',
  },
  UnknownProfile: {
    meaning: 'The signer has no such profile.',
    remedy: "Mend spec.profile, or CFSSL's configuration.",
  },
  Unreachable: {
    meaning: 'None of the servers answers: refused, no such name, no answer in time.',
    remedy: 'See that CFSSL runs and that spec.url, name resolution and network policies lead to it.',
  },
  TLSFailed: {
    meaning: 'The certificate of the server, or ours, is not trusted, or one side speaks http and the other https.',
    remedy:
      "Compare spec.tls, or SSL_CERT_FILE of the controller, with the server's certificate; see the scheme in spec.url.",
  },
  NotCFSSL: {
    meaning: 'Something answers that is not CFSSL: a redirect, 404, a login, a page.',
    remedy: 'spec.url is the base URL, without /api/v1/cfssl. See what stands in front of CFSSL.',
  },
  ServerMisconfigured: {
    meaning: 'CFSSL answers that its key, certificates, policy or bundling are not right.',
    remedy: 'See its log and its configuration.',
  },
  TemporaryFailure: {
    meaning: 'CFSSL or something in front of it has trouble for now.',
    remedy: 'See its log; it is asked again.',
  },
  CAExpired: { meaning: 'The certificate of the signing CA has expired.', remedy: 'Renew it.' },
  CertificateMismatch: {
    meaning:
      'CFSSL issued a certificate that is for another key, by another CA, not valid now, a CA unasked, or a precertificate. It was not handed out.',
    remedy:
      "See the profile in CFSSL's configuration. The issuer tries again when its spec, Secret or CA changes, or the clock of the controller is set.",
  },
};

export const REQUEST_REASONS: Readonly<Record<RequestReason, Explanation>> = {
  Pending: {
    meaning:
      'The request waits: for its issuer to exist or to be Ready, or for the next try after a temporary failure.',
    remedy: 'See the message, and the issuer.',
  },
  Failed: {
    meaning: 'The request can never succeed as it is, or a temporary failure lasted longer than --max-retry-duration.',
    remedy: 'See the message; make another request. cert-manager does so by itself after a while.',
  },
  Denied: { meaning: 'An approver denied the request.', remedy: 'See who denied it and why.' },
  Issued: { meaning: 'The certificate is in status.certificate.', remedy: 'Nothing.' },
};

/** Events about issuers beside those with the reason of their condition; each is sent once for a configuration. */
export const ISSUER_WARNINGS = {
  ProfileNotProven:
    'The server is cfssl serve, which signs with its default profile when it does not know the one named: see to it yourself.',
  DurationIgnored:
    'The server ignores the validity that it is asked for, so spec.maxDuration has no effect there and the profile decides.',
  BundleUnavailable: 'The server gave no bundle although spec.bundle asks for one. The chain is completed without it.',
} as const;

export type IssuerWarning = keyof typeof ISSUER_WARNINGS;

/** Events about requests; those about issuers have the reasons of their condition. */
export const REQUEST_EVENTS = {
  WaitingForApproval: 'Nobody has approved or denied the request yet.',
  WaitingForIssuerExist: 'There is no such issuer.',
  WaitingForIssuerReady: 'The issuer is not Ready; the message says why.',
  RetryableError: 'A signing failed and will be tried again.',
  PermanentError: 'The request has ended without a certificate.',
  UnexpectedCertificate:
    'The certificate was handed out but differs from what was asked for, in a way that the message says.',
  Issued: 'The certificate was handed out.',
} as const;

export type RequestEvent = keyof typeof REQUEST_EVENTS;
