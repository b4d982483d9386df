/**
 * The flags of `controller`. Names, meanings and defaults of the first seven are the Go program's (`main.go` and
 * controller-runtime's zap flags); the others are new and have defaults that fit.
 */

import type { LogEncoding, LogLevel } from '../platform/index.ts';
import { parseBindAddress, parseDuration } from '../platform/index.ts';
import type { Flag } from './flags.ts';

export const CONTROLLER_FLAGS = [
  {
    name: 'metrics-addr',
    type: 'text',
    default: ':8080',
    help: 'Address of the metrics endpoint; 0 turns it off.',
    check: checkAddress,
  },
  {
    name: 'health-addr',
    type: 'text',
    default: ':8081',
    help: 'Address of the probes /healthz and /readyz; 0 turns them off.',
    check: checkAddress,
  },
  {
    name: 'enable-leader-election',
    type: 'boolean',
    default: false,
    help: 'Work only while holding a Lease, so that of several replicas one is active.',
  },
  {
    name: 'cluster-resource-namespace',
    type: 'text',
    default: '',
    help: "Namespace of the Secrets and ConfigMaps of ClusterIssuers; empty for the pod's own.",
  },
  {
    name: 'disable-approved-check',
    type: 'boolean',
    default: false,
    help: 'Sign CertificateRequests without waiting for their approval.',
  },
  { name: 'version', type: 'boolean', default: false, help: 'Print the version and exit.' },
  {
    name: 'zap-log-level',
    type: 'text',
    default: 'info',
    help: 'What to log: debug, info, error, or a whole number above 0 for more than info.',
    check: toLogLevel,
  },
  {
    name: 'zap-encoder',
    type: 'text',
    default: 'json',
    help: 'How to log: json or console.',
    check: toLogEncoding,
  },
  {
    name: 'kubeconfig',
    type: 'text',
    default: '',
    help: "Path of a kubeconfig; empty for KUBECONFIG, the pod's service account or ~/.kube/config.",
  },
  {
    name: 'leader-election-namespace',
    type: 'text',
    default: '',
    help: "Namespace of the Lease; empty for the pod's own.",
  },
  {
    name: 'disable-kubernetes-csr-controller',
    type: 'boolean',
    default: false,
    help: 'Leave the CertificateSigningRequests of certificates.k8s.io alone.',
  },
  {
    name: 'max-concurrent-reconciles',
    type: 'integer',
    default: 16,
    min: 1,
    max: 1000,
    help: 'How many requests are worked on at a time.',
  },
  {
    name: 'max-retry-duration',
    type: 'text',
    default: '5m',
    help: 'How long a temporary failure of CFSSL is retried, from the first attempt, before the request fails.',
    check: toDurationMs,
  },
  {
    name: 'namespaces',
    type: 'text',
    default: '',
    help: 'Namespaces to serve, separated by commas; ClusterIssuers and CertificateSigningRequests, which have none, are then left alone. Empty for all.',
    check: toNamespaces,
  },
] as const satisfies readonly Flag[];

/** Zap's levels as ours: numbers above 0 are verbosity, and what zap calls panic is an error here. */
export function toLogLevel(text: string): LogLevel {
  const level = text.toLowerCase();
  switch (level) {
    case 'debug':
    case 'info':
    case 'warn':
    case 'error':
      return level;
    case 'panic':
      return 'error';
    default:
      if (/^[1-9]\d*$/.test(text)) return 'debug';
      throw new Error(`wants debug, info, error or a whole number above 0, not "${text}"`);
  }
}

export function toLogEncoding(text: string): LogEncoding {
  const encoding = text.toLowerCase();
  if (encoding === 'json' || encoding === 'console') return encoding;
  throw new Error(`wants json or console, not "${text}"`);
}

export function toDurationMs(text: string): number {
  const durationMs = parseDuration(text);
  if (durationMs === undefined || durationMs < 0) throw new Error(`wants a duration like 30s or 5m, not "${text}"`);
  return durationMs;
}

/** Undefined for all namespaces. */
export function toNamespaces(text: string): readonly string[] | undefined {
  if (text === '') return undefined;
  const namespaces = text.split(',').map((name) => name.trim());
  const wrong = namespaces.find((name) => !/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name));
  if (wrong !== undefined) throw new Error(`wants names of namespaces, separated by commas; "${wrong}" is none`);
  return [...new Set(namespaces)];
}

/** controller-runtime's way to turn a server off. */
export function isOff(address: string): boolean {
  return address === '0' || address === '';
}

function checkAddress(text: string): void {
  if (!isOff(text)) parseBindAddress(text);
}
