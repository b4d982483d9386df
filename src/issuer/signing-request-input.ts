/** What a CertificateSigningRequest asks for, in its spec and in cert-manager's annotations. */
import { type CertificateSigningRequest, DURATION_ANNOTATION, IS_CA_ANNOTATION } from '../api/index.ts';
import { parseDuration } from '../platform/index.ts';
import type { SigningInput } from './sign.ts';

export function signingInputOfSigningRequest(request: CertificateSigningRequest): SigningInput {
  const { spec, metadata } = request;
  const durationMs = durationMsOf(request);
  return {
    csrPem: Buffer.from(spec.request, 'base64').toString('utf8'),
    isCa: metadata.annotations?.[IS_CA_ANNOTATION] === 'true',
    caNeedsCsr: true,
    ...(spec.usages === undefined ? {} : { usages: spec.usages }),
    ...(typeof durationMs === 'number' ? { durationMs } : {}),
  };
}

/** The annotation goes before the field, as it does for cert-manager. Undefined when neither is there. */
export function durationMsOf({ metadata, spec }: CertificateSigningRequest): number | 'unreadable' | undefined {
  const annotation = metadata.annotations?.[DURATION_ANNOTATION];
  if (annotation !== undefined) return parseDuration(annotation) ?? 'unreadable';
  return spec.expirationSeconds === undefined ? undefined : spec.expirationSeconds * 1000;
}
