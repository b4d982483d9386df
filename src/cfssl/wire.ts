/** CFSSL's JSON, in its own spelling (cloudflare/cfssl ed8df497: api/api.go, signer/signer.go, auth/auth.go). */

/** Prefix of all endpoints; `authsign` and `info` are the two that this client uses. */
export const API_PREFIX = '/api/v1/cfssl/';

/** The body of `authsign`. Byte strings are base64, as Go writes `[]byte`. */
export interface AuthenticatedRequest {
  readonly token: string;
  readonly request: string;
}

/** What `AuthenticatedRequest.request` holds, as JSON. */
export interface SignRequestJson {
  readonly certificate_request: string;
  readonly label: string;
  readonly profile?: string;
  readonly bundle?: true;
  /** RFC 3339; obeyed by multirootca since 1.3.0 without any cap. */
  readonly NotBefore?: string;
  readonly NotAfter?: string;
  readonly extensions?: readonly ExtensionJson[];
}

export interface ExtensionJson {
  /** Dotted OID. */
  readonly id: string;
  readonly critical: boolean;
  /** Hex of the DER value. */
  readonly value: string;
}

/** The body of `info`. */
export interface InfoRequestJson {
  readonly label: string;
  readonly profile?: string;
}

export interface CfsslMessage {
  readonly code: number;
  readonly message: string;
}

/** Every answer of a handler. */
export interface Envelope<Result> {
  readonly success: boolean;
  readonly result: Result | null;
  readonly errors: readonly CfsslMessage[];
  readonly messages: readonly CfsslMessage[];
}

export interface SignResultJson {
  readonly certificate: string;
  readonly bundle?: BundleJson;
}

/** The parts of a bundle that matter here; it is informational otherwise. */
export interface BundleJson {
  /** PEM: leaf first, then each issuer upwards. */
  readonly bundle: string;
  /** PEM of the trust anchor that was used; "" when there is none. */
  readonly root: string;
}

export interface InfoResultJson {
  readonly certificate: string;
  readonly usages: readonly string[] | null;
  readonly expiry: string;
}
