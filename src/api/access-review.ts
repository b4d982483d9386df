/**
 * The slices of `authorization.k8s.io/v1` that we write and read: may somebody, or may we ourselves, do this? A review is
 * answered when it is created and stored nowhere.
 */
import type { ApiResource } from './metadata.ts';

export interface ResourceAttributes {
  readonly group: string;
  readonly resource: string;
  readonly subresource?: string;
  readonly verb: string;
  /** All namespaces, or a resource that has none, when absent. */
  readonly namespace?: string;
  readonly name?: string;
}

export interface AccessReview {
  readonly spec: {
    readonly resourceAttributes: ResourceAttributes;
    /** Who it is about; absent in a review of oneself. */
    readonly user?: string | undefined;
    readonly uid?: string | undefined;
    readonly groups?: readonly string[] | undefined;
    readonly extra?: Readonly<Record<string, readonly string[]>> | undefined;
  };
  readonly status?: { readonly allowed: boolean };
}

export const SUBJECT_ACCESS_REVIEWS: ApiResource = {
  group: 'authorization.k8s.io',
  version: 'v1',
  plural: 'subjectaccessreviews',
  kind: 'SubjectAccessReview',
  namespaced: false,
};

export const SELF_SUBJECT_ACCESS_REVIEWS: ApiResource = {
  group: 'authorization.k8s.io',
  version: 'v1',
  plural: 'selfsubjectaccessreviews',
  kind: 'SelfSubjectAccessReview',
  namespaced: false,
};
