import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { AccessReviewsDouble } from '../../test/support/access-reviews.ts';
import { signingRequest } from '../../test/support/builders.ts';
import { targetOfSigner } from './issuer-reference.ts';
import { findObjection } from './signing-request-reference.ts';

const GROUP = 'cfssl-issuer.wikimedia.org';
const requester = { username: 'alice', uid: 'uid-alice', groups: ['devs'], extra: { scopes: ['a', 'b'] } };

async function review(signerName: string, isAllowed: (name: string | undefined) => boolean) {
  const api = new AccessReviewsDouble(({ name }) => isAllowed(name));
  const request = signingRequest({ spec: { ...requester, signerName } });
  const target = targetOfSigner(signerName);
  assert.ok(target !== undefined);
  const { signal } = new AbortController();
  return { objection: await findObjection(request, target, { client: api.asKubernetesClient(), signal }), api };
}

const reviewOf = (name: string) => ({
  user: 'alice',
  uid: 'uid-alice',
  groups: ['devs'],
  extra: { scopes: ['a', 'b'] },
  resourceAttributes: { group: 'cert-manager.io', resource: 'signers', verb: 'reference', namespace: 'team', name },
});

describe('findObjection()', () => {
  test('has none to a ClusterIssuer, and asks nobody', async () => {
    const { objection, api } = await review(`clusterissuers.${GROUP}/ca`, () => false);
    assert.deepEqual([objection, api.reviews], [undefined, []]);
  });

  test('has none to an Issuer that the requester may reference', async () => {
    const { objection, api } = await review(`issuers.${GROUP}/team.ca`, (name) => name === 'ca');
    assert.equal(objection, undefined);
    assert.deepEqual(api.reviews, [{ kind: 'SubjectAccessReview', ...reviewOf('ca') }]);
  });

  test('has none where the requester may reference all Issuers of the namespace', async () => {
    const { objection, api } = await review(`issuers.${GROUP}/team.ca`, (name) => name === '*');
    assert.equal(objection, undefined);
    assert.deepEqual(
      api.reviews,
      ['ca', '*'].map((name) => ({ kind: 'SubjectAccessReview', ...reviewOf(name) })),
    );
  });

  test('says what the requester lacks', async () => {
    const { objection } = await review(`issuers.${GROUP}/team.ca`, () => false);
    assert.equal(
      objection,
      'User "alice" lacks the verb "reference" on signers.cert-manager.io "ca" in namespace "team"',
    );
  });
});
