/** The endpoint `info` (cloudflare/cfssl v1.7.1, api/info/info.go): a label's certificate, for everybody. */
import type { InfoResultJson } from '../src/cfssl/index.ts';
import { type Answer, failHttp, succeed } from './answer.ts';
import { type HttpRequest, selectProfile } from './authsign.ts';
import type { Configuration } from './configuration.ts';
import { decodeJson } from './go/json.ts';
import { JsonError } from './go/json-parser.ts';
import { INFO_REQUEST } from './requests.ts';

export function answerInfo({ labels, defaultLabel }: Configuration, { method, body }: HttpRequest): Answer {
  if (method !== 'POST') return failHttp(405, `Method is not allowed:"${method}"`);
  let request: typeof INFO_REQUEST.zero;
  try {
    request = decodeJson(body, INFO_REQUEST);
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    return failHttp(400, error.message);
  }
  const label = labels.get(request.label || defaultLabel);
  if (label === undefined) return failHttp(400, 'bad label');
  const { authority, policy } = label;
  // Other than in authsign, an unknown profile means the default
  const { usages, expiry } = selectProfile(policy, request.profile) ?? policy.defaultProfile;
  const result: InfoResultJson = { certificate: authority.certificate.pem.trim(), usages, expiry };
  return succeed(result, 'application/json');
}
