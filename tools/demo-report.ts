// What the demo prints: who is running, what became of every sample, and how to go on.

import type { X509Certificate } from 'node:crypto';
import { styleText } from 'node:util';

import type { Issuer } from '../src/api/index.ts';
import type { ObjectWithConditions } from './cluster.ts';
import type { DemoServers } from './demo-servers.ts';
import type { SuiteResult } from './sample-suite.ts';
import type { Verified } from './verify.ts';

const heading = (text: string): string => styleText('bold', text);
const good = (text: string): string => styleText('green', text);
const LABEL_WIDTH = 12;
const WITHOUT_GO = `There is no Go here to build cert-manager's controllers and CFSSL with: bare CertificateRequests stand in for
Certificates, the demo approves them itself, and our own throw-away CA stands in for CFSSL.`;

export function formatIntroduction({ controlPlane, certManager, cfssl, issuer }: DemoServers): string {
  return [
    '',
    heading('Running on this machine'),
    field(
      'Kubernetes',
      `kube-apiserver and etcd at ${controlPlane.url}${certManager === undefined ? '' : ", with cert-manager's controllers"}`,
    ),
    field('CFSSL', `${cfssl.program} at ${cfssl.url}, signing with ${cfssl.labels.join(' and ')}`),
    field('the issuer', `node dist/main.mjs, metrics at ${issuer.metricsUrl}/metrics`),
    '',
    ...(certManager === undefined ? [WITHOUT_GO, ''] : []),
    "Applying config/samples, with this CFSSL's address and key in them",
    '',
  ].join('\n');
}

export function formatReport({ objects, verified, applyToReadyMs }: SuiteResult): string {
  const issuers = objects.filter(({ kind }) => kind === 'Issuer' || kind === 'ClusterIssuer');
  return [
    '',
    ...issuers.flatMap((object) => formatIssuer(object as unknown as Issuer & { kind: string })),
    '',
    ...[...verified].flatMap(([object, found]) => formatIssued(object, found)),
    '',
    `All Ready ${(applyToReadyMs / 1000).toFixed(1)} s after they were applied.`,
    '',
  ].join('\n');
}

function formatIssuer({ kind, metadata, spec, status }: Issuer & { readonly kind: string }): string[] {
  const { label, profile } = spec as { label: string; profile?: string };
  const ready = status?.conditions?.find(({ type }) => type === 'Ready');
  const answering = (status?.endpoints ?? []).map(({ reachable }) => (reachable === false ? 'dead' : 'up'));
  return [
    `${heading(`${kind} ${nameOf(metadata)}`)}  ${good('Ready')} (${ready?.reason})`,
    field(
      'signs with',
      `label ${label}, ${profile === undefined ? 'the default profile' : `profile ${profile}`}; servers: ${answering.join(', ')}`,
    ),
    field('CA', `${status?.ca?.subject ?? '?'}, until ${status?.ca?.notAfter ?? '?'}`),
  ];
}

function formatIssued(object: ObjectWithConditions, { leaf, chain, ca }: Verified): string[] {
  const { secretName, issuerRef } = (
    object as unknown as { spec: { secretName?: string; issuerRef: { kind: string; name: string } } }
  ).spec;
  const where =
    secretName === undefined
      ? `status of the CertificateRequest: the key is with whoever made it`
      : `Secret ${object.metadata.namespace}/${secretName}, whose key is the certificate's ${good('✔')}`;
  const [owner] =
    (object.metadata as { ownerReferences?: readonly { kind: string; name: string }[] }).ownerReferences ?? [];
  const origin = owner === undefined ? '' : `, made for ${owner.kind} ${owner.name}`;
  return [
    `${heading(`${object.kind} ${nameOf(object.metadata)}`)}  ${good('Ready')} by ${issuerRef.kind} ${issuerRef.name}${origin}`,
    field('where', where),
    field('names', `${leaf.subjectAltName ?? '(none)'}, until ${leaf.validToDate.toISOString()}`),
    field(
      'chain',
      `${chain.map(commonName).join(' ← ')} ${good('✔')}  ca.crt: ${ca === undefined ? 'none' : commonName(ca)}`,
    ),
  ];
}

export function formatNextSteps({ controlPlane, certManager, cfssl, issuer, kubectlFolder }: DemoServers): string {
  return [
    heading('Go on in another terminal'),
    `  export KUBECONFIG=${controlPlane.kubeconfig} PATH=${kubectlFolder}:$PATH`,
    `  kubectl get cfsslissuers,cfsslclusterissuers,${certManager === undefined ? '' : 'certificates,'}certificaterequests -A -o wide`,
    '  kubectl events -A',
    ...(certManager === undefined ? [] : ['  kubectl delete secret certificate-by-issuer     # and see it come back']),
    '  kubectl patch secret issuer-sample-credentials -p \'{"stringData":{"key":"00"}}\'   # and see the issuer say so',
    '',
    heading('Logs'),
    ...[issuer, cfssl, certManager].flatMap((server) => (server === undefined ? [] : [`  ${server.logFile}`])),
    ...controlPlane.logFiles.map((file) => `  ${file}`),
    '',
    'Ctrl-C stops everything and removes it.',
    '',
  ].join('\n');
}

function field(label: string, text: string): string {
  return `  ${label.padEnd(LABEL_WIDTH)}${text}`;
}

function nameOf({ namespace, name }: { readonly namespace?: string; readonly name: string }): string {
  return namespace === undefined ? name : `${namespace}/${name}`;
}

/** A certificate that has only alternative names has an empty subject, which Node gives as undefined. */
function commonName({ subject, subjectAltName }: X509Certificate): string {
  const text = (subject as string | undefined) ?? '';
  return /^CN=(.*)$/m.exec(text)?.[1] ?? (text.split('\n').join(', ') || subjectAltName || '?');
}
