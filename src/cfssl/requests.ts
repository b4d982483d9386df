/** What is sent: each builder gives the exact bytes, which are then authenticated and sent as they are. */
import { formatTime } from '../platform/index.ts';

import { type AuthKey, createToken } from './token.ts';
import type { AuthenticatedRequest, InfoRequestJson, SignRequestJson } from './wire.ts';

/** What is asked of a server. `probe` goes where `sign` goes, and only `sign` can have issued something. */
export type Call = 'sign' | 'probe' | 'info';

/** Which signer of the server, and by which of its profiles. */
export interface Target {
  readonly label: string;
  /** Absent: the server's default profile. */
  readonly profile?: string | undefined;
}

export interface SignRequest {
  readonly csrPem: string;
  /** Instead of the client's own profile. */
  readonly profile?: string | undefined;
  /** Validity, milliseconds since the epoch; without it the profile decides. */
  readonly notBeforeMs?: number | undefined;
  readonly notAfterMs?: number | undefined;
  /** The CSR's own subjectAltName extension, for names that CFSSL would drop; `value` is its DER. */
  readonly sanExtension?: { readonly critical: boolean; readonly value: Uint8Array } | undefined;
  /** Instead of the client's own setting. */
  readonly bundle?: boolean | undefined;
}

const SUBJECT_ALT_NAME = '2.5.29.17';

/**
 * Never `hosts` (an empty list removes every SAN), `subject`, `serial` or `ReturnPrecert`: the CSR decides, and the answer
 * is checked against it.
 */
export function buildSignRequest({ label, profile }: Target, request: Omit<SignRequest, 'profile'>): Buffer {
  const { csrPem, notBeforeMs, notAfterMs, sanExtension, bundle } = request;
  return serialise({
    certificate_request: csrPem,
    label,
    ...(profile ? { profile } : {}),
    ...(bundle ? { bundle } : {}),
    ...(notBeforeMs === undefined ? {} : { NotBefore: formatTime(notBeforeMs) }),
    ...(notAfterMs === undefined ? {} : { NotAfter: formatTime(notAfterMs) }),
    ...(sanExtension === undefined
      ? {}
      : {
          extensions: [
            {
              id: SUBJECT_ALT_NAME,
              critical: sanExtension.critical,
              value: Buffer.from(sanExtension.value).toString('hex'),
            },
          ],
        }),
  } satisfies SignRequestJson);
}

/**
 * A sign request whose CSR is empty, always: CFSSL checks label, profile and token before it looks at the CSR, so the
 * answer tells whether those three are right, and no server can issue anything by it.
 */
export function buildProbeRequest(target: Target): Buffer {
  return serialise(probeOf(target));
}

/**
 * The probe with an end that is no time. A server that would obey the field complains of that; one that has no such field
 * does not see it.
 */
export function buildValidityProbeRequest(target: Target): Buffer {
  return serialise({ ...probeOf(target), NotAfter: 'x' } satisfies SignRequestJson);
}

function probeOf({ label, profile }: Target): SignRequestJson {
  return { certificate_request: '', label, ...(profile ? { profile } : {}) };
}

export function buildInfoRequest({ label, profile }: Target): Buffer {
  return serialise({ label, ...(profile ? { profile } : {}) } satisfies InfoRequestJson);
}

/** Wraps a sign request's bytes for `authsign`. The timestamp and address that CFSSL's format allows are read by no server. */
export function buildAuthenticatedRequest(
  request: Buffer,
  { key, additionalData }: { readonly key: AuthKey; readonly additionalData?: Uint8Array | undefined },
): Buffer {
  return serialise({
    token: createToken(key, request, additionalData),
    request: request.toString('base64'),
  } satisfies AuthenticatedRequest);
}

function serialise(value: object): Buffer {
  return Buffer.from(JSON.stringify(value), 'utf8');
}
