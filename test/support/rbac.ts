/** What RBAC grants to a ServiceAccount, right by right, and what it looks like without one of them. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type AccessReview, SUBJECT_ACCESS_REVIEWS } from '../../src/api/index.ts';
import type { KubernetesObject, Resource } from '../../src/kubernetes/index.ts';
import type { Cluster } from '../../tools/cluster.ts';

export interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

/** One verb on one resource, with a name if it is restricted to one. */
export interface Right {
  readonly verb: string;
  readonly group: string;
  /** With its subresource: `issuers/status`. */
  readonly resource: string;
  readonly name: string | undefined;
}

/** A right and the role that grants it. */
export interface GrantedRight extends Right {
  readonly role: { readonly name: string; readonly namespace?: string | undefined };
}

interface Role extends KubernetesObject {
  readonly rules: readonly Rule[];
}

interface Binding extends KubernetesObject {
  readonly roleRef: { readonly kind: 'Role' | 'ClusterRole'; readonly name: string };
  readonly subjects: readonly { readonly kind: string; readonly namespace?: string; readonly name: string }[];
}

/** A request as the API server's audit log has it. */
export interface AuditRecord {
  readonly requestURI: string;
  readonly verb: string;
  readonly objectRef: {
    readonly resource: string;
    readonly subresource?: string;
    readonly apiGroup?: string;
    readonly namespace?: string;
    readonly name?: string;
  };
  readonly responseStatus: { readonly code: number };
}

const rbac = (plural: string, kind: string, namespaced: boolean): Resource => ({
  group: 'rbac.authorization.k8s.io',
  version: 'v1',
  plural,
  kind,
  namespaced,
});
const ROLES = { Role: rbac('roles', 'Role', true), ClusterRole: rbac('clusterroles', 'ClusterRole', false) };
const BINDINGS = [rbac('rolebindings', 'RoleBinding', true), rbac('clusterrolebindings', 'ClusterRoleBinding', false)];
const POLL_MS = 20;

/** `get secrets`, `patch issuers.cfssl-issuer.wikimedia.org/status`, with the name if there is one. */
export function formatRight({ verb, group, resource, name }: Right): string {
  const [plural = '', subresource] = resource.split('/');
  const kind = `${plural}${group === '' ? '' : `.${group}`}${subresource === undefined ? '' : `/${subresource}`}`;
  return `${verb} ${kind}${name === undefined ? '' : ` ${name}`}`;
}

export function rightsOf(rules: readonly Rule[]): Right[] {
  return rules.flatMap(({ apiGroups, resources, resourceNames = [undefined], verbs }) =>
    apiGroups.flatMap((group) =>
      resources.flatMap((resource) =>
        resourceNames.flatMap((name) => verbs.map((verb) => ({ verb, group, resource, name }))),
      ),
    ),
  );
}

/** All that the bindings of the cluster grant to it. */
export async function readGrantedRights(
  { client }: Cluster,
  account: { readonly namespace: string; readonly name: string },
): Promise<GrantedRight[]> {
  const granted: GrantedRight[] = [];
  for (const resource of BINDINGS) {
    for (const { metadata, roleRef, subjects = [] } of (await client.list<Binding>(resource)).items) {
      const isOurs = subjects.some(({ name, namespace }) => name === account.name && namespace === account.namespace);
      if (!isOurs) continue;
      const role = { name: roleRef.name, namespace: metadata.namespace };
      const { rules } = await client.get<Role>(ROLES[roleRef.kind], role);
      granted.push(...rightsOf(rules).map((right) => ({ ...right, role })));
    }
  }
  return granted;
}

/** Takes exactly this right away for as long as the work lasts. */
export async function without<T>(
  cluster: Cluster,
  right: GrantedRight,
  { user, work }: { readonly user: string; readonly work: () => Promise<T> },
): Promise<T> {
  const { client } = cluster;
  const { role } = right;
  const resource = role.namespace === undefined ? ROLES.ClusterRole : ROLES.Role;
  const { rules } = await client.get<Role>(resource, role);
  const all = rightsOf(rules);
  const others = all.filter((one) => formatRight(one) !== formatRight(right));
  if (others.length !== all.length - 1) throw new Error(`Cannot take ${formatRight(right)} away: it is not there once`);
  await client.mergePatch(resource, role, { rules: others.map(toRule) });
  try {
    await waitUntilAllowed(cluster, right, { user, allowed: false });
    return await work();
  } finally {
    await client.mergePatch(resource, role, { rules });
    await waitUntilAllowed(cluster, right, { user, allowed: true });
  }
}

function toRule({ verb, group, resource, name }: Right): Rule {
  const names = name === undefined ? {} : { resourceNames: [name] };
  return { apiGroups: [group], resources: [resource], ...names, verbs: [verb] };
}

/** The API server learns of changed roles by watches of its own. */
async function waitUntilAllowed(
  { client }: Cluster,
  { verb, group, resource, name, role }: GrantedRight,
  { user, allowed }: { readonly user: string; readonly allowed: boolean },
): Promise<void> {
  const [plural = '', subresource] = resource.split('/');
  const attributes = { verb, group, resource: plural, ...(subresource === undefined ? {} : { subresource }) };
  const where = {
    ...(role.namespace === undefined ? {} : { namespace: role.namespace }),
    ...(name === undefined ? {} : { name }),
  };
  const review: AccessReview = { spec: { user, resourceAttributes: { ...attributes, ...where } } };
  for (const endMs = performance.now() + 10_000; ; await sleep(POLL_MS)) {
    const { status } = await client.create(SUBJECT_ACCESS_REVIEWS, review);
    if (status?.allowed === allowed) return;
    if (performance.now() > endMs) throw new Error(`${verb} ${resource} is still ${allowed ? 'refused' : 'allowed'}`);
  }
}

/** What a user has asked of the API server so far. */
export function readAuditLog(file: string): AuditRecord[] {
  const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line) as AuditRecord);
}

/** The right that a request takes. */
export function rightFor({ verb, objectRef: at }: AuditRecord): Right {
  const resource = at.subresource === undefined ? at.resource : `${at.resource}/${at.subresource}`;
  return { verb, group: at.apiGroup ?? '', resource, name: at.name };
}

/** Whether the request is one that the right is for. */
export function isUseOf({ verb, group, resource, name, role }: GrantedRight, request: AuditRecord): boolean {
  const asked = rightFor(request);
  return (
    asked.verb === verb &&
    asked.group === group &&
    asked.resource === resource &&
    (name === undefined || asked.name === name) &&
    (role.namespace === undefined || request.objectRef.namespace === role.namespace)
  );
}
