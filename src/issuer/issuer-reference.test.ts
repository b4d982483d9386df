import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { certificateRequest, issuer } from '../../test/support/builders.ts';
import type { IssuerReference } from '../api/index.ts';
import { type IssuerTarget, parseIssuerId, targetOf, targetOfIssuer, targetOfSigner } from './issuer-reference.ts';

const group = 'cfssl-issuer.wikimedia.org';
const namespaced: IssuerTarget = { id: 'Issuer/team/ca', kind: 'Issuer', namespace: 'team', name: 'ca' };
const cluster: IssuerTarget = { id: 'ClusterIssuer/ca', kind: 'ClusterIssuer', namespace: undefined, name: 'ca' };

describe('targetOf()', () => {
  const cases: readonly [name: string, reference: IssuerReference, expected: IssuerTarget | undefined][] = [
    ["an Issuer is in the request's namespace", { group, kind: 'Issuer', name: 'ca' }, namespaced],
    ['a ClusterIssuer is in none', { group, kind: 'ClusterIssuer', name: 'ca' }, cluster],
    ['a missing kind means Issuer', { group, name: 'ca' }, namespaced],
    ['so does an empty one', { group, kind: '', name: 'ca' }, namespaced],
    ['another kind is not ours', { group, kind: 'Signer', name: 'ca' }, undefined],
    ['a kind in another case is not ours', { group, kind: 'clusterissuer', name: 'ca' }, undefined],
    ['another group is not ours', { group: 'cert-manager.io', kind: 'Issuer', name: 'ca' }, undefined],
    ['a missing group is not ours', { kind: 'ClusterIssuer', name: 'ca' }, undefined],
    ['nor is an empty one', { group: '', kind: 'ClusterIssuer', name: 'ca' }, undefined],
  ];
  for (const [name, issuerRef, expected] of cases) {
    test(name, () => {
      assert.deepEqual(targetOf(certificateRequest({ spec: { issuerRef } })), expected);
    });
  }
});

describe('targetOfSigner()', () => {
  const issuer = (namespace: string, name: string): IssuerTarget => {
    return { id: `Issuer/${namespace}/${name}`, kind: 'Issuer', namespace, name };
  };
  const cases: readonly [signerName: string, expected: IssuerTarget | undefined][] = [
    [`issuers.${group}/team.ca`, namespaced],
    [`issuers.${group}/team.ca.v1`, issuer('team', 'ca.v1')],
    [`clusterissuers.${group}/ca`, cluster],
    [`clusterissuers.${group}/team.ca`, { ...cluster, id: 'ClusterIssuer/team.ca', name: 'team.ca' }],
    [`issuers.${group}/ca`, issuer('', 'ca')],
    [`issuers.${group}/.ca`, issuer('', 'ca')],
    [`issuers.${group}/`, undefined],
    [`issuers.${group}`, undefined],
    [`issuers.${group}/team.ca/more`, undefined],
    [`issuer.${group}/team.ca`, undefined],
    [`Issuers.${group}/team.ca`, undefined],
    [`${group}/team.ca`, undefined],
    ['issuers.cert-manager.io/team.ca', undefined],
    ['kubernetes.io/kubelet-serving', undefined],
    ['', undefined],
  ];
  for (const [signerName, expected] of cases) {
    test(`"${signerName}" is ${expected === undefined ? 'not ours' : expected.id}`, () => {
      assert.deepEqual(targetOfSigner(signerName), expected);
    });
  }
});

describe('targetOfIssuer()', () => {
  test('is what a request of it names', () => {
    assert.deepEqual(targetOfIssuer('Issuer', issuer().metadata), namespaced);
    const { namespace: _, ...metadata } = issuer().metadata;
    assert.deepEqual(targetOfIssuer('ClusterIssuer', metadata), cluster);
  });
});

describe('parseIssuerId()', () => {
  for (const target of [
    namespaced,
    cluster,
    targetOfIssuer('Issuer', issuer({ metadata: { name: 'a.b-c' } }).metadata),
  ]) {
    test(`undoes ${target.id}`, () => {
      assert.deepEqual(parseIssuerId(target.id), target);
    });
  }
});
