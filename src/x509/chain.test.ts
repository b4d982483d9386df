import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Certificate, parseCertificates } from './certificate.ts';
import { buildChain, encodeChain } from './chain.ts';
import { authority, certificate, cn, int, newKey, seq } from './testing/authority.ts';

const root = authority('root');
const upper = authority('upper', { issuer: root });
const lower = authority('lower', { issuer: upper });
const leaf = certificate({ key: newKey(), subject: seq(cn('leaf')), issuer: lower });
const all = [leaf, lower.certificate, upper.certificate, root.certificate];

const texts = (certificates: readonly Certificate[]) => certificates.map(({ subjectText }) => subjectText);
const chainOf = (...certificates: readonly Certificate[]) => {
  const { leaf, chain, ca } = buildChain(certificates);
  return { leaf: leaf.subjectText, chain: texts(chain), ca: ca?.subjectText };
};
const permutations = <T>(items: readonly T[]): T[][] =>
  items.length < 2
    ? [[...items]]
    : items.flatMap((item, index) => permutations(items.toSpliced(index, 1)).map((rest) => [item, ...rest]));

describe('encodeChain', () => {
  test('writes what parseCertificates reads, ended by a newline', () => {
    const pem = encodeChain(all);
    assert.match(pem, /[^\n]\n$/);
    assert.deepEqual(
      parseCertificates(pem).map((one) => one.sha256Hex),
      all.map((one) => one.sha256Hex),
    );
  });
});

/** The cases of cert-manager's `parse_certificate_chain_test.go`, and a few more. */
describe('buildChain', () => {
  test('leaves the root out of the chain, in whatever order and how often the certificates come', () => {
    const expected = { leaf: 'CN=leaf', chain: ['CN=leaf', 'CN=lower', 'CN=upper'], ca: 'CN=root' };
    for (const order of permutations(all)) {
      assert.deepEqual(chainOf(...order), expected);
      assert.deepEqual(chainOf(...order, ...order), expected);
    }
  });

  test('takes the highest intermediate for the CA without a root', () => {
    for (const order of permutations(all.slice(0, 3))) {
      assert.deepEqual(chainOf(...order), {
        leaf: 'CN=leaf',
        chain: ['CN=leaf', 'CN=lower', 'CN=upper'],
        ca: 'CN=upper',
      });
    }
  });

  test('takes one certificate for the chain, and for the CA if it is a root', () => {
    assert.deepEqual(chainOf(leaf), { leaf: 'CN=leaf', chain: ['CN=leaf'], ca: undefined });
    assert.deepEqual(chainOf(root.certificate), { leaf: 'CN=root', chain: ['CN=root'], ca: 'CN=root' });
    assert.equal('ca' in buildChain([leaf]), false);
  });

  test('takes an intermediate and its root', () => {
    assert.deepEqual(chainOf(root.certificate, upper.certificate), {
      leaf: 'CN=upper',
      chain: ['CN=upper'],
      ca: 'CN=root',
    });
  });

  test('leaves both roots out when one was renewed under its key, and takes the same for the CA in every order', () => {
    const renewed = authority('root', { key: root.key, serial: int(2) }).certificate;
    const results = permutations([upper.certificate, root.certificate, renewed]).map((order) => {
      const { chain, ca } = buildChain(order);
      return { chain: texts(chain), ca: ca?.sha256Hex };
    });
    for (const result of results) assert.deepEqual(result, { chain: ['CN=upper'], ca: results[0]?.ca });
  });

  const broken = (state: RegExp) => ({
    name: 'X509Error',
    code: 'X509_CHAIN',
    details: { object: 'chain' },
    message: state,
  });
  const foreign = certificate({ key: newKey(), subject: seq(cn('foreign')), issuer: authority('x') });
  const sibling = certificate({ key: newKey(), subject: seq(cn('sibling')), issuer: lower });
  const rows: readonly (readonly [string, readonly Certificate[]])[] = [
    ['a gap', [leaf, upper.certificate, root.certificate]],
    ['a foreign certificate', [...all, foreign]],
    ['two leaves', [...all, sibling]],
    ['two roots', [...all, authority('y').certificate]],
  ];
  for (const [name, certificates] of rows) {
    test(`refuses ${name}`, () => {
      for (const order of permutations(certificates)) {
        assert.throws(
          () => buildChain(order),
          broken(/^Cannot build chain: the certificate "CN=[a-z]+" neither issued/),
        );
      }
    });
  }

  test('takes a long chain of different names', () => {
    let issuer = root;
    const chain = [root.certificate];
    while (chain.length < 120) {
      issuer = authority(`ca ${chain.length}`, { issuer });
      chain.push(issuer.certificate);
    }
    assert.deepEqual(texts(buildChain(chain).chain), texts(chain.slice(1).reverse()));
  });

  test('gives up on many certificates of one name before they cost seconds', () => {
    // Each issued the next, so that every join is found late
    let issuer = root;
    const chain = [root.certificate];
    while (chain.length < 100) {
      issuer = authority('root', { issuer });
      chain.push(issuer.certificate);
    }
    assert.throws(() => buildChain(chain), {
      name: 'X509Error',
      code: 'X509_LIMIT',
      message: 'Cannot build chain: too many certificates have the same name',
    });
  });

  test('refuses none and more than 1000', () => {
    assert.throws(() => buildChain([]), broken(/^Cannot build chain: there are no certificates$/));
    const many = Array.from({ length: 1001 }, (_, index) => ({ ...leaf, sha256Hex: String(index) }));
    assert.throws(() => buildChain(many), { code: 'X509_LIMIT', message: /more than 1000 certificates$/ });
    assert.throws(() => buildChain(many.slice(1)), { code: 'X509_CHAIN' });
  });
});
