/** Events as an operator finds them in the cluster. */
import { EVENTS, type KubernetesObject } from '../../src/kubernetes/index.ts';
import type { Cluster } from '../../tools/cluster.ts';

export interface Event extends KubernetesObject {
  readonly reason: string;
  readonly note: string;
  readonly series?: { readonly count: number };
  readonly regarding: { readonly kind: string; readonly name: string };
}

export interface About {
  /** Where the event lies: `default` for an object that has no namespace. */
  readonly namespace: string;
  readonly kind: string;
  readonly name: string;
}

const POLL_MS = 50;

/** Waits for an event of that reason about the object, and gives all that there are about it. */
export async function waitForEvent(cluster: Cluster, about: About, reason: string): Promise<readonly Event[]> {
  for (;;) {
    const { items } = await cluster.client.list<Event>(EVENTS, { namespace: about.namespace });
    const told = items.filter(({ regarding }) => regarding.kind === about.kind && regarding.name === about.name);
    if (told.some((event) => event.reason === reason)) return told;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
