/** A small controller runtime: what it takes to watch objects, work on them and write them, by client-go's rules. */
export {
  type CallOptions,
  type ClientDeps,
  createKubernetesClient,
  type KubernetesClient,
  type KubernetesClientOptions,
  type List,
  type ListOptions,
  type ListResult,
  type NameOptions,
  type ObjectHandler,
  type StatusPatch,
  type WatchEvent,
  type WatchOptions,
} from './client.ts';
export { type Authentication, type ClusterConfig, type FileOrText, loadClusterConfig } from './cluster-config.ts';
export {
  Controller,
  type ControllerDeps,
  type ControllerOptions,
  type Reconcile,
  type ReconcileResult,
  TerminalError,
} from './controller.ts';
export {
  isAlreadyExists,
  isBadRequest,
  isConflict,
  isExpired,
  isForbidden,
  isInvalid,
  isKubernetesError,
  isNotFound,
  isRetryable,
  isTimeout,
  isTooManyRequests,
  isUnauthorized,
  KubernetesError,
  type KubernetesErrorCode,
} from './errors.ts';
export {
  EVENTS,
  type EventRecord,
  EventRecorder,
  type EventRecorderDeps,
  type EventRecorderOptions,
} from './events.ts';
export {
  LEASES,
  LeaderElector,
  type LeaderElectorDeps,
  type LeaderElectorOptions,
  type Lease,
} from './leader-election.ts';
export { type NamedObjectHandle, type NamedObjectState, NamedObjectWatches } from './named-object-watches.ts';
export { createReflector, type ObjectSource } from './namespaces-reflector.ts';
export { readAgain } from './read-again.ts';
export {
  type ChangeHandler,
  type ListWatcher,
  Reflector,
  type ReflectorDeps,
  type ReflectorOptions,
} from './reflector.ts';
export {
  apiVersionOf,
  type KubernetesObject,
  keyOf,
  type ObjectMeta,
  type ObjectName,
  type Resource,
  splitKey,
  toKey,
} from './resource.ts';
export { type StatusWriteResult, StatusWriter, type StatusWriterOptions } from './status-writer.ts';
export { type Change, type IndexFunction, Store, type StoreReader } from './store.ts';
export { WorkQueue, type WorkQueueDeps, type WorkQueueOptions } from './work-queue.ts';
