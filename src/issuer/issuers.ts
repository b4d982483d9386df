/** The issuers of both kinds, as the stores have them, by their common id. */
import type { Issuer } from '../api/index.ts';
import type { StoreReader } from '../kubernetes/index.ts';
import { type IssuerTarget, parseIssuerId } from './issuer-reference.ts';

export interface IssuerStores {
  readonly issuers: StoreReader<Issuer>;
  readonly clusterIssuers: StoreReader<Issuer>;
}

export function findIssuer(stores: IssuerStores, target: IssuerTarget | string): Issuer | undefined {
  const { kind, namespace, name } = typeof target === 'string' ? parseIssuerId(target) : target;
  return kind === 'Issuer' ? stores.issuers.get(`${namespace ?? ''}/${name}`) : stores.clusterIssuers.get(name);
}
