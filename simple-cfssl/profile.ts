/**
 * Signing profiles out of CFSSL's JSON configuration (cloudflare/cfssl v1.7.1, config/config.go). What simple-cfssl cannot
 * do, and CFSSL would do for a profile, is refused; what neither knows is ignored.
 */
import { AuthKey } from '../src/cfssl/index.ts';
import { ConfigurationError } from './configuration-error.ts';
import { decodeJson, goBool, goInt, goMap, goOid, goPointer, goSlice, goString, goStruct, goTime } from './go/json.ts';
import { JsonError } from './go/json-parser.ts';
import { compileRegexp } from './go/regexp.ts';
import { parseDuration } from './go/time.ts';
import { isUsage } from './usages.ts';

export interface Profile {
  /** Words as configured, unknown ones included; null when there are none. */
  readonly usages: readonly string[] | null;
  /** A Go duration as configured. */
  readonly expiry: string;
  readonly expiryMs: number;
  readonly backdateMs: number;
  /** Fixed ends of the validity, milliseconds since the epoch. */
  readonly notBeforeMs: number | undefined;
  readonly notAfterMs: number | undefined;
  /** What requests are authenticated with: `current`, then `previous`. */
  readonly authKeys: { readonly current: AuthKey | undefined; readonly previous: AuthKey | undefined };
  readonly isCa: boolean;
  /** Of certificates of CAs; undefined for no limit. */
  readonly maxPathLength: number | undefined;
  readonly nameWhitelist: RegExp | undefined;
  /** Which parts of the CSR are heeded; undefined for all. */
  readonly csrWhitelist: CsrWhitelist | undefined;
  readonly copyExtensions: boolean;
  /** OIDs that requests may add. */
  readonly allowedExtensions: ReadonlySet<string>;
  readonly clientProvidesSerialNumbers: boolean;
  readonly ocspUrl: string;
  readonly crlUrl: string;
  readonly issuerUrls: readonly string[];
  readonly ocspNoCheck: boolean;
  /** OIDs of certificate policies. */
  readonly policies: readonly string[];
}

export interface CsrWhitelist {
  readonly Subject: boolean;
  readonly PublicKey: boolean;
  readonly DNSNames: boolean;
  readonly IPAddresses: boolean;
  readonly EmailAddresses: boolean;
  readonly URIs: boolean;
}

export interface SigningPolicy {
  readonly defaultProfile: Profile;
  /** Undefined when the configuration has no `profiles`: then any name means the default. */
  readonly profiles: ReadonlyMap<string, Profile> | undefined;
  /** Hex by name, as far as the configuration spells it out. */
  readonly authKeys: ReadonlyMap<string, string>;
}

/** Where `env:` and `file:` keys come from. */
export interface KeySources {
  readonly readFile: (path: string) => Buffer;
  readonly env: Readonly<Record<string, string | undefined>>;
}

const PROFILE = goStruct('config.SigningProfile', {
  usages: goSlice(goString),
  issuer_urls: goSlice(goString),
  ocsp_url: goString,
  crl_url: goString,
  ca_constraint: goStruct('config.CAConstraint', { is_ca: goBool, max_path_len: goInt, max_path_len_zero: goBool }),
  ocsp_no_check: goBool,
  expiry: goString,
  backdate: goString,
  auth_key: goString,
  prev_auth_key: goString,
  copy_extensions: goBool,
  remote: goString,
  auth_remote: goStruct('config.AuthRemote', { remote: goString, auth_key: goString }),
  not_before: goTime,
  not_after: goTime,
  name_whitelist: goString,
  ct_log_servers: goSlice(goString),
  allowed_extensions: goSlice(goOid),
  Policies: goSlice(goStruct('config.CertificatePolicy', { ID: goOid })),
  CSRWhitelist: goPointer(
    goStruct('config.CSRWhitelist', {
      Subject: goBool,
      PublicKey: goBool,
      DNSNames: goBool,
      IPAddresses: goBool,
      EmailAddresses: goBool,
      URIs: goBool,
    }),
  ),
  ClientProvidesSerialNumbers: goBool,
});

const CONFIG = goStruct('config.Config', {
  signing: goPointer(goStruct('config.Signing', { default: goPointer(PROFILE), profiles: goMap(goPointer(PROFILE)) })),
  auth_keys: goMap(goStruct('config.AuthKey', { type: goString, key: goString })),
});

type ProfileJson = typeof PROFILE.zero;
type AuthKeysJson = typeof CONFIG.zero.auth_keys;

/** What CFSSL signs with when the configuration has no `default`: nobody can be authenticated for it. */
const BUILT_IN_DEFAULT: ProfileJson = {
  ...PROFILE.zero,
  usages: ['signing', 'key encipherment', 'server auth', 'client auth'],
  expiry: '8760h',
};

const DEFAULT_BACKDATE_MS = 5 * 60_000;

/** @throws ConfigurationError */
export function parseSigningPolicy(json: Uint8Array, sources: KeySources): SigningPolicy {
  const { signing, auth_keys: keys } = readConfig(json);
  if (signing === undefined) throw new ConfigurationError('there is no "signing"');
  const fallback = signing.default ?? BUILT_IN_DEFAULT;
  const defaultProfile = buildProfile('default', fallback, fallback, keys, sources);
  if (defaultProfile.expiryMs === 0) throw new ConfigurationError('profile "default": its expiry is zero');
  const profiles =
    signing.profiles &&
    new Map(
      Array.from(signing.profiles, ([name, profile]) => {
        if (profile === undefined) throw new ConfigurationError(`profile "${name}" is null`);
        if (!profile.usages?.some(isUsage))
          throw new ConfigurationError(`profile "${name}" has no usage that is known`);
        return [name, buildProfile(name, profile, fallback, keys, sources)];
      }),
    );
  const authKeys = new Map(Array.from(keys ?? [], ([name, { key }]) => [name, key] as const));
  return { defaultProfile, profiles: profiles ?? undefined, authKeys };
}

function readConfig(json: Uint8Array): typeof CONFIG.zero {
  try {
    return decodeJson(json, CONFIG);
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    throw new ConfigurationError(`failed to unmarshal configuration: ${error.message}`, { cause: error });
  }
}

function buildProfile(
  name: string,
  profile: ProfileJson,
  fallback: ProfileJson,
  keys: AuthKeysJson,
  sources: KeySources,
): Profile {
  const context = `profile "${name}"`;
  if (profile.remote !== '' || profile.auth_remote.remote !== '') {
    throw new ConfigurationError(`${context}: remotes are not supported`);
  }
  if (profile.ct_log_servers?.length) throw new ConfigurationError(`${context}: ct_log_servers are not supported`);
  const authKey = (key: string): AuthKey | undefined => (key === '' ? undefined : findKey(key, context, keys, sources));
  const { is_ca: isCa, max_path_len: maxPathLength, max_path_len_zero: isZero } = profile.ca_constraint;
  return {
    usages: profile.usages,
    expiry: profile.expiry,
    expiryMs: durationMs(profile.expiry, context) || durationMs(fallback.expiry, context),
    backdateMs: (profile.backdate === '' ? 0 : durationMs(profile.backdate, context)) || DEFAULT_BACKDATE_MS,
    notBeforeMs: profile.not_before,
    notAfterMs: profile.not_after,
    authKeys: { current: authKey(profile.auth_key), previous: authKey(profile.prev_auth_key) },
    isCa,
    maxPathLength: maxPathLength > 0 || isZero ? maxPathLength : undefined,
    nameWhitelist: profile.name_whitelist === '' ? undefined : whitelist(profile.name_whitelist, context),
    csrWhitelist: profile.CSRWhitelist,
    copyExtensions: profile.copy_extensions,
    allowedExtensions: new Set(profile.allowed_extensions),
    clientProvidesSerialNumbers: profile.ClientProvidesSerialNumbers,
    ocspUrl: profile.ocsp_url || fallback.ocsp_url,
    crlUrl: profile.crl_url || fallback.crl_url,
    issuerUrls: profile.issuer_urls ?? fallback.issuer_urls ?? [],
    ocspNoCheck: profile.ocsp_no_check,
    policies: (profile.Policies ?? []).map(({ ID }) => ID),
  };
}

function durationMs(text: string, context: string): number {
  try {
    return parseDuration(text);
  } catch (cause) {
    throw new ConfigurationError(`${context}: ${(cause as Error).message}`, { cause });
  }
}

function whitelist(pattern: string, context: string): RegExp {
  try {
    return compileRegexp(pattern);
  } catch (cause) {
    throw new ConfigurationError(`${context}: name_whitelist: ${(cause as Error).message}`, { cause });
  }
}

function findKey(name: string, context: string, keys: AuthKeysJson, sources: KeySources): AuthKey {
  const entry = keys?.get(name);
  if (entry === undefined) throw new ConfigurationError(`${context}: there is no auth key "${name}"`);
  if (entry.type !== 'standard') throw new ConfigurationError(`auth key "${name}" is not of type "standard"`);
  const hex = resolveKey(entry.key, name, sources);
  // An empty key is a key to CFSSL too
  if (!/^(?:[0-9a-f]{2})*$/i.test(hex)) throw new ConfigurationError(`auth key "${name}" is not hexadecimal`);
  return new AuthKey(Buffer.from(hex, 'hex'));
}

/** Follows `env:NAME`, where an unset variable is the empty key, and `file:PATH`. */
function resolveKey(key: string, name: string, { env, readFile }: KeySources): string {
  const colon = key.indexOf(':');
  if (colon === -1) return key;
  const target = key.slice(colon + 1);
  switch (key.slice(0, colon)) {
    case 'env':
      return env[target] ?? '';
    case 'file':
      return readFile(target).toString('utf8').trim();
    default:
      throw new ConfigurationError(`auth key "${name}" has a prefix other than env: and file:`);
  }
}
