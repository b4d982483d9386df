/**
 * The endpoint `authsign` (cloudflare/cfssl v1.7.1, cmd/multirootca/api.go): its checks in their order. What is decided
 * before anything is signed is a pure function.
 */
import { timingSafeEqual } from 'node:crypto';
import type { BlockList } from 'node:net';
import type { AuthKey } from '../src/cfssl/index.ts';
import { type Answer, fail, PLAIN_TEXT, succeed } from './answer.ts';
import { assertReadable, describeAlgorithm } from './authority.ts';
import { type Bundle, buildBundle } from './bundle.ts';
import type { Configuration, Label } from './configuration.ts';
import { decodeJson } from './go/json.ts';
import { JsonError } from './go/json-parser.ts';
import { issueCertificate } from './issue.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';
import type { Profile, SigningPolicy } from './profile.ts';
import {
  AUTHENTICATED_REQUEST,
  type AuthenticatedRequest,
  BUNDLE_SIGN_REQUEST,
  SIGN_REQUEST,
  type SignRequest,
} from './requests.ts';

export interface HttpRequest {
  readonly method: string;
  readonly body: Uint8Array;
  /** Address of the TCP peer. */
  readonly peer: string;
}

/** The request may be signed, or why not; `reason` is for the log. */
export type Decision =
  | { readonly kind: 'refuse'; readonly answer: Answer; readonly reason: string; readonly label: string | undefined }
  | { readonly kind: 'sign'; readonly request: SignRequest; readonly label: Label; readonly profile: Profile };

export interface SigningDeps {
  readonly now: () => number;
  readonly log: Log;
  readonly metrics: Metrics;
}

export async function answerAuthsign(
  configuration: Configuration,
  request: HttpRequest,
  deps: SigningDeps,
): Promise<Answer> {
  const decision = decideAuthsign(configuration, request);
  if (decision.kind === 'sign') return sign(configuration, decision, request.peer, deps);
  const { answer, reason, label } = decision;
  if (label !== undefined) deps.metrics.countRequest(label);
  deps.metrics.countBadInput();
  deps.log('ERROR', `[HTTP ${answer.status}] 1 - ${reason}`);
  return answer;
}

/** The checks of a request up to its token and CSR's presence. */
export function decideAuthsign(configuration: Configuration, { method, body, peer }: HttpRequest): Decision {
  let known: string | undefined;
  const refuse = (status: number, message: string, reason = message): Decision => ({
    kind: 'refuse',
    answer: fail(status, 1, message),
    reason,
    label: known,
  });

  if (method !== 'POST') return refuse(405, 'only POST is permitted');
  let authenticated: AuthenticatedRequest;
  let request: SignRequest;
  try {
    authenticated = decodeJson(body, AUTHENTICATED_REQUEST);
    // Before the token is looked at, as the label in it decides about the key
    request = decodeJson(authenticated.request, configuration.bundler ? BUNDLE_SIGN_REQUEST : SIGN_REQUEST);
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    return refuse(400, error.message);
  }
  const name = request.label || configuration.defaultLabel;
  const label = configuration.labels.get(name);
  if (label?.peers && !isListed(label.peers, peer)) return refuse(403, 'not authorised', `${peer} is not in nets`);
  if (label === undefined) return refuse(400, 'bad request', `non-existent label ${name}`);
  known = name;
  const profile = selectProfile(label.policy, request.profile);
  if (profile === undefined) return refuse(400, 'invalid profile', `non-existent profile ${request.profile}`);
  const { current, previous } = profile.authKeys;
  if (current === undefined) return refuse(401, 'authorisation required');
  if (!isTokenOf(current, authenticated) && !(previous && isTokenOf(previous, authenticated))) {
    return refuse(400, 'invalid token');
  }
  if (request.certificate_request === '') return refuse(400, 'invalid request');
  return { kind: 'sign', request: { ...request, label: name }, label, profile };
}

/** Undefined for a profile that is not there; without a `profiles` map, every name means the default. */
export function selectProfile({ profiles, defaultProfile }: SigningPolicy, name: string): Profile | undefined {
  return profiles === undefined || name === '' ? defaultProfile : profiles.get(name);
}

/** A BlockList knows the IPv4 address in an IPv6 one, which is what a socket for both families has. */
function isListed(peers: BlockList, peer: string): boolean {
  return peers.check(peer, peer.includes(':') ? 'ipv6' : 'ipv4');
}

function isTokenOf(key: AuthKey, { token, request }: AuthenticatedRequest): boolean {
  const expected = key.mac(request);
  return token.length === expected.length && timingSafeEqual(token, expected);
}

async function sign(
  configuration: Configuration,
  { request, label, profile }: Extract<Decision, { kind: 'sign' }>,
  peer: string,
  { now, log, metrics }: SigningDeps,
): Promise<Answer> {
  metrics.countRequest(request.label);
  const refuse = (status: number, message: string, error: unknown): Answer => {
    metrics.countError(request.label);
    metrics.countBadInput();
    log('ERROR', `[HTTP ${status}] 1 - ${message} (${error instanceof Error ? error.message : String(error)})`);
    return fail(status, 1, message);
  };
  let certificate: string;
  try {
    certificate = await issueCertificate(label.authority, profile, request, now());
  } catch (error) {
    // Whatever it is, clients of multirootca learn no more
    return refuse(400, 'bad request', error);
  }
  metrics.countCertificate();
  try {
    assertReadable(certificate);
  } catch (error) {
    refuse(500, 'bad certificate', error);
    // multirootca's handler goes on from here and crashes: nothing is answered, the connection drops
    throw error;
  }
  let bundle: Bundle | undefined;
  try {
    if (configuration.bundler && request.bundle) {
      const signature = describeAlgorithm(label.authority.algorithm);
      bundle = buildBundle(configuration.bundler, certificate, { profile, signature });
    }
  } catch (error) {
    // The certificate is issued all the same
    return refuse(500, 'error creating bundle', error);
  }
  log('INFO', `signature: requester=${peer}, label=${request.label}, profile=${request.profile}`);
  return succeed({ certificate, ...(bundle && { bundle }) }, PLAIN_TEXT);
}
