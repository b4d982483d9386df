/** What the API server stores, as far as every kind has it, and where it is found. */

/** A kind of object, with all that is needed to build its URLs and to write it. */
export interface Resource {
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
}

export interface ObjectMeta {
  readonly name: string;
  readonly namespace?: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly generation?: number;
  readonly creationTimestamp: string;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface KubernetesObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: ObjectMeta;
}

export interface ObjectName {
  readonly namespace?: string | undefined;
  readonly name: string;
}

/** A collection, or an object in one. */
export interface Location {
  readonly namespace?: string | undefined;
  readonly name?: string | undefined;
}

/** `namespace/name`, or `name` when cluster-scoped: how stores and queues name an object. */
export function keyOf(object: { readonly metadata: ObjectName }): string {
  return toKey(object.metadata);
}

export function toKey({ namespace, name }: ObjectName): string {
  return namespace === undefined || namespace === '' ? name : `${namespace}/${name}`;
}

/** Takes a key apart; the inverse of `keyOf`. */
export function splitKey(key: string): { readonly namespace?: string; readonly name: string } {
  const slash = key.indexOf('/');
  return slash < 0 ? { name: key } : { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}

export function apiVersionOf({ group, version }: Resource): string {
  return group === '' ? version : `${group}/${version}`;
}

/** The URL path of a collection (no `name`), of an object, or of a subresource of one. */
export function pathOf(resource: Resource, where: Location, subresource?: string): string {
  const { namespace, name } = where;
  const parts = [resource.group === '' ? 'api' : `apis/${resource.group}`, resource.version];
  if (resource.namespaced && namespace !== undefined) parts.push('namespaces', encodeURIComponent(namespace));
  parts.push(resource.plural);
  if (name !== undefined) parts.push(encodeURIComponent(name));
  if (subresource !== undefined) parts.push(subresource);
  return `/${parts.join('/')}`;
}
