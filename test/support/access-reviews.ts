/** The API server as far as it answers access reviews. */
import type { AccessReview, ResourceAttributes } from '../../src/api/index.ts';
import type { KubernetesClient } from '../../src/kubernetes/index.ts';

export class AccessReviewsDouble {
  /** What was asked, in order. */
  readonly reviews: ({ readonly kind: string } & AccessReview['spec'])[] = [];
  /** The errors that the next reviews end with. */
  readonly errors: Error[] = [];
  readonly #isAllowed: (attributes: ResourceAttributes) => boolean;

  constructor(isAllowed: (attributes: ResourceAttributes) => boolean) {
    this.#isAllowed = isAllowed;
  }

  async create({ kind }: { readonly kind: string }, { spec }: AccessReview): Promise<AccessReview> {
    this.reviews.push({ kind, ...spec });
    const error = this.errors.shift();
    if (error !== undefined) throw error;
    return await Promise.resolve({ spec, status: { allowed: this.#isAllowed(spec.resourceAttributes) } });
  }

  /** For those who take the whole client. */
  asKubernetesClient(): KubernetesClient {
    return this as unknown as KubernetesClient;
  }
}
