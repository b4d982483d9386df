/** What clients send, as CFSSL's structs (cloudflare/cfssl v1.7.1: auth/auth.go, signer/signer.go, csr/csr.go, info/info.go). */
import {
  goAny,
  goBigInt,
  goBool,
  goBytes,
  goInt64,
  goMap,
  goOid,
  goPointer,
  goSlice,
  goString,
  goStruct,
  goTime,
  type TypeOf,
} from './go/json.ts';

/** The body of `authsign`. */
export const AUTHENTICATED_REQUEST = goStruct('auth.AuthenticatedRequest', {
  timestamp: goInt64,
  remote_address: goBytes,
  token: goBytes,
  request: goBytes,
});

const NAME = goStruct('csr.Name', {
  C: goString,
  ST: goString,
  L: goString,
  O: goString,
  OU: goString,
  E: goString,
  SerialNumber: goString,
  OID: goMap(goString),
});

const SUBJECT = goStruct('signer.Subject', { CN: goString, names: goSlice(NAME), SerialNumber: goString });

const EXTENSION = goStruct('signer.Extension', { id: goOid, critical: goBool, value: goString });

const SIGN_REQUEST_FIELDS = {
  hosts: goSlice(goString),
  certificate_request: goString,
  subject: goPointer(SUBJECT),
  profile: goString,
  crl_override: goString,
  label: goString,
  serial: goBigInt,
  extensions: goSlice(EXTENSION),
  NotBefore: goTime,
  NotAfter: goTime,
  ReturnPrecert: goBool,
  metadata: goMap(goAny),
} as const;

/** What `AuthenticatedRequest.request` holds. */
export const SIGN_REQUEST = goStruct('signer.SignRequest', SIGN_REQUEST_FIELDS);

/** The same, with Wikimedia's addition. */
export const BUNDLE_SIGN_REQUEST = goStruct('signer.SignRequest', { ...SIGN_REQUEST_FIELDS, bundle: goBool });

/** The body of `info`. */
export const INFO_REQUEST = goStruct('info.Req', { label: goString, profile: goString });

export type AuthenticatedRequest = TypeOf<typeof AUTHENTICATED_REQUEST>;
export type SignRequest = TypeOf<typeof SIGN_REQUEST> & { readonly bundle?: boolean };
export type RequestedSubject = TypeOf<typeof SUBJECT>;
