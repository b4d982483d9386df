import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { certificateRequest } from '../../test/support/builders.ts';
import {
  type Authority,
  authority,
  CfsslDouble,
  type Csr,
  cfsslError,
  issue,
  NOW_MS,
  newCsr,
  readyIssuer,
  signAnswer,
} from '../../test/support/signing.ts';
import type { CertificateRequestSpec } from '../api/index.ts';
import type { SignAnswer } from '../cfssl/index.ts';
import { type Certificate, encodePem, parseCertificates } from '../x509/index.ts';
import {
  basicConstraintsCa,
  bits,
  cn,
  csrDer,
  der,
  dns,
  extendedKeyUsage,
  newKey,
  oid,
  san,
  seq,
  text,
} from '../x509/testing/authority.ts';
import { signingInputOf } from './certificate-request-kind.ts';
import type { IssuerConfiguration } from './configuration.ts';
import { type SigningInput, type SigningOutcome, sign } from './sign.ts';

const root = authority('Root');
const intermediate = authority('Intermediate', { issuer: root });
const other = authority('Other');
const csr = newCsr();

interface Given {
  readonly csr?: Csr;
  readonly spec?: Partial<CertificateRequestSpec>;
  readonly signer?: Authority;
  readonly configuration?: Partial<IssuerConfiguration>;
  readonly answer?: SignAnswer | Error;
  readonly beforePost?: () => void;
  /** What CFSSL tells as its CA when it is asked again; an error when it does not answer. */
  readonly signerNow?: Authority | Error;
}

async function run(given: Given): Promise<{ outcome: SigningOutcome; cfssl: CfsslDouble }> {
  const request = certificateRequest({ spec: { request: (given.csr ?? csr).base64, ...given.spec } });
  return await runInput(signingInputOf(request), given);
}

async function runInput(input: SigningInput, given: Given = {}) {
  const { signer = root, configuration = {}, beforePost = () => {} } = given;
  const asked = given.csr ?? csr;
  const cfssl = new CfsslDouble();
  cfssl.willAnswer(given.answer ?? signAnswer(issue(asked, signer)));
  const { signal } = new AbortController();
  const options = { signal, beforePost, now: () => NOW_MS };
  const askForSigner = async (): Promise<Certificate> => {
    const { signerNow = signer } = given;
    if (signerNow instanceof Error) throw signerNow;
    return signerNow.certificate;
  };
  const issuer = { ...readyIssuer(cfssl, signer, configuration), askForSigner };
  return { outcome: await sign(input, issuer, options), cfssl };
}

/** Without what the audit log tells. */
function verdictOf(outcome: SigningOutcome): { readonly kind: string; readonly message: string | undefined } {
  return { kind: outcome.kind, message: outcome.kind === 'signed' ? undefined : outcome.message };
}

describe('sign()', () => {
  test('gives the certificate, its CA and what the audit log tells', async () => {
    const pem = issue(csr, root);
    const [leaf] = parseCertificates(pem);
    const { outcome, cfssl } = await run({ answer: signAnswer(pem, { keyInUse: 'key_next' }) });
    assert.deepEqual(outcome, {
      kind: 'signed',
      certificatePem: pem,
      caPem: root.certificate.pem,
      warnings: [],
      lacksBundle: false,
      record: {
        endpoint: 'https://ca.example',
        keyInUse: 'key_next',
        serial: '1',
        sha256: leaf?.sha256Hex,
        names: ['DNS:test.example'],
        notAfterMs: NOW_MS + 3_600_000,
      },
    });
    assert.deepEqual(cfssl.posts, [{ csrPem: csr.pem, bundle: false }]);
  });

  describe('the chain', () => {
    const leaf = issue(csr, intermediate);
    const [root_, intermediate_] = [root.certificate, intermediate.certificate];
    interface Chain {
      readonly name: string;
      readonly configuration?: Partial<IssuerConfiguration>;
      readonly answer?: Partial<SignAnswer>;
      readonly expected: { readonly certificatePem: string; readonly caPem: string };
    }
    const complete = { certificatePem: leaf + intermediate_.pem, caPem: root_.pem };
    const chains: readonly Chain[] = [
      {
        name: 'without the root, ends with the topmost CA that is known',
        expected: { certificatePem: leaf + intermediate_.pem, caPem: intermediate_.pem },
      },
      { name: 'the root from spec.chain', configuration: { chain: [root_] }, expected: complete },
      {
        name: 'spec.chain in any order; another root in it reaches ca.crt too',
        configuration: { chain: [other.certificate, root_, intermediate_] },
        expected: { ...complete, caPem: root_.pem + other.certificate.pem },
      },
      {
        name: "the root from CFSSL's bundle",
        answer: { bundlePem: leaf + intermediate_.pem + root_.pem },
        expected: complete,
      },
      { name: "the root from CFSSL's root", answer: { rootPem: root_.pem }, expected: complete },
      {
        name: 'a bundle that cannot be read is as good as none',
        configuration: { chain: [root_] },
        answer: { bundlePem: 'bundle', rootPem: '' },
        expected: complete,
      },
    ];
    for (const { name, configuration = {}, answer, expected } of chains) {
      test(name, async () => {
        const { outcome } = await run({ signer: intermediate, configuration, answer: signAnswer(leaf, answer) });
        assert.ok(outcome.kind === 'signed', JSON.stringify(outcome));
        const { certificatePem, caPem } = outcome;
        assert.deepEqual({ certificatePem, caPem }, expected);
      });
    }
  });

  describe("CFSSL's CA was replaced since the last check", () => {
    test('is asked again, and its certificate is handed out', async () => {
      const { outcome } = await run({ answer: signAnswer(issue(csr, other)), signerNow: other });
      assert.ok(outcome.kind === 'signed', JSON.stringify(outcome));
      assert.equal(outcome.caPem, other.certificate.pem);
    });

    test('is a mismatch while CFSSL does not tell of it', async () => {
      const signerNow = cfsslError('CFSSL_UNREACHABLE');
      const { outcome } = await run({ answer: signAnswer(issue(csr, other)), signerNow });
      assert.deepEqual(verdictOf(outcome), {
        kind: 'mismatch',
        message: 'The certificate was signed by none of the known CA certificates: "CN=Root"',
      });
    });

    test('and a CA that only the answer itself vouches for is not trusted', async () => {
      const answer = signAnswer(issue(csr, other), {
        bundlePem: other.certificate.pem,
        rootPem: other.certificate.pem,
      });
      const { outcome } = await run({ answer });
      assert.equal(outcome.kind, 'mismatch');
    });
  });

  test('names that CFSSL would drop are sent as the extension that the CSR has, and only then', async () => {
    const otherName = der(0xa0, oid('1.3.6.1.4.1.311.20.2.3'), der(0xa0, text('user@example')));
    const asked = newCsr({ extensions: [san(dns('test.example'), otherName)] });
    const { cfssl } = await run({ csr: asked });
    const [post] = cfssl.posts;
    assert.equal(post?.sanExtension?.critical, false);
    assert.deepEqual(Buffer.from(post?.sanExtension?.value ?? []), Buffer.from(seq(dns('test.example'), otherName)));
    assert.equal((await run({})).cfssl.posts[0]?.sanExtension, undefined);
  });

  describe('a CA', () => {
    const extensions = [san(dns('test.example')), basicConstraintsCa];
    const forCa = newCsr({ extensions });
    const spec = { isCA: true };
    const answer = signAnswer(issue(forCa, root, { extensions }));

    test('is asked of the profile for CAs, with the names as an extension', async () => {
      const { outcome, cfssl } = await run({ csr: forCa, spec, answer, configuration: { caProfile: 'ca' } });
      assert.equal(outcome.kind, 'signed', JSON.stringify(outcome));
      const [{ sanExtension, ...post } = { csrPem: '' }] = cfssl.posts;
      assert.deepEqual(post, { csrPem: forCa.pem, profile: 'ca', bundle: false });
      assert.deepEqual(Buffer.from(sanExtension?.value ?? []), Buffer.from(seq(dns('test.example'))));
    });

    test('is asked of the ordinary profile where there is no other', async () => {
      assert.equal((await run({ csr: forCa, spec, answer })).cfssl.posts[0]?.profile, undefined);
    });

    test('that is not asked for does not use the profile for CAs', async () => {
      assert.equal((await run({ configuration: { caProfile: 'ca' } })).cfssl.posts[0]?.profile, undefined);
    });

    test('that only an annotation asks for is refused: it can be changed after the approval', async () => {
      const refused = await runInput({ csrPem: csr.pem, isCa: true, caNeedsCsr: true });
      assert.deepEqual(verdictOf(refused.outcome), {
        kind: 'refused',
        message: 'An annotation asks for a CA and the CSR does not; make the CSR with the basic constraint CA:TRUE',
      });
      assert.deepEqual(refused.cfssl.posts, []);
      const agreed = await runInput({ csrPem: forCa.pem, isCa: true, caNeedsCsr: true }, { answer });
      assert.equal(agreed.outcome.kind, 'signed');
    });
  });

  describe('a duration', () => {
    const HOUR_MS = 3_600_000;
    /** Begin and end that were asked of CFSSL, relative to now. */
    const askedFor = async (duration: string | undefined, maxDurationMs: number | undefined) => {
      const { cfssl } = await run({
        spec: duration === undefined ? {} : { duration },
        configuration: { maxDurationMs },
      });
      const { notBeforeMs = Number.NaN, notAfterMs = Number.NaN } = cfssl.posts[0] ?? {};
      return [notBeforeMs - NOW_MS, notAfterMs - NOW_MS];
    };
    // The CA ends an hour from now.
    const cases: readonly [name: string, string | undefined, number | undefined, readonly [number, number]][] = [
      ["is the profile's without a maximum", '50m', undefined, [Number.NaN, Number.NaN]],
      ["is the profile's when the request wants none", undefined, HOUR_MS, [Number.NaN, Number.NaN]],
      ['is asked for with both ends', '50m', HOUR_MS, [-300_000, 45 * 60_000]],
      ['is backdated by at most a tenth', '10m', HOUR_MS, [-60_000, 9 * 60_000]],
      ['is asked for in whole seconds', '1m1s', HOUR_MS, [-7_000, 54_000]],
      ['ends at the maximum', '1h', 40 * 60_000, [-240_000, 36 * 60_000]],
      ['ends with the CA', '24h', 48 * HOUR_MS, [-300_000, HOUR_MS]],
    ];
    for (const [name, duration, maxDurationMs, expected] of cases) {
      test(name, async () => assert.deepEqual(await askedFor(duration, maxDurationMs), expected));
    }

    test('that is over before the certificate is there is refused', async () => {
      for (const duration of ['59s', '0', '-1h']) {
        const { outcome, cfssl } = await run({ spec: { duration }, configuration: { maxDurationMs: HOUR_MS } });
        assert.equal(outcome.kind, 'refused');
        assert.match(verdictOf(outcome).message ?? '', /^The request asks for a validity of .*; the least is 1m$/);
        assert.deepEqual(cfssl.posts, []);
      }
    });

    test('that CFSSL was asked for and did not give is a warning', async () => {
      const { outcome } = await run({ spec: { duration: '30m' }, configuration: { maxDurationMs: HOUR_MS } });
      assert.ok(outcome.kind === 'signed');
      assert.deepEqual(outcome.warnings, ['The certificate ends later than CFSSL was asked to have it end']);
    });
  });

  describe('the bundle', () => {
    test('is asked for where the spec says so', async () => {
      const { cfssl } = await run({ configuration: { bundle: true } });
      assert.deepEqual(cfssl.posts, [{ csrPem: csr.pem, bundle: true }]);
    });

    test('is never asked for an Ed25519 key', async () => {
      const ed25519 = newCsr({ key: newKey('Ed25519'), algorithm: seq(oid('1.3.101.112')), hash: null });
      const { cfssl, outcome } = await run({ csr: ed25519, configuration: { bundle: true } });
      assert.equal(outcome.kind, 'signed');
      assert.deepEqual(cfssl.posts, [{ csrPem: ed25519.pem, bundle: false }]);
    });
  });

  describe('refused, and nothing is sent to CFSSL', () => {
    const key = newKey();
    const forged = csrDer({ key, signature: bits(Buffer.alloc(8)) });
    const cases: readonly [name: string, request: string, message: string][] = [
      ['no CSR', '', 'Cannot parse CSR: there is no PEM block'],
      ['no base64', '%%%', 'Cannot parse CSR: there is no PEM block'],
      [
        'a certificate',
        Buffer.from(root.certificate.pem).toString('base64'),
        'Cannot parse CSR: there is a PEM block "CERTIFICATE", not "CERTIFICATE REQUEST"',
      ],
      [
        'a CSR that its key did not sign',
        Buffer.from(encodePem('CERTIFICATE REQUEST', forged)).toString('base64'),
        'Cannot verify CSR: the signature is not that of its key',
      ],
    ];
    for (const [name, request, message] of cases) {
      test(name, async () => {
        const { outcome, cfssl } = await run({ spec: { request } });
        assert.deepEqual(outcome, { kind: 'refused', message });
        assert.deepEqual(cfssl.posts, []);
      });
    }
  });

  describe('refused, since the request brings it about', () => {
    test('other names than those of the CSR', async () => {
      const { outcome } = await run({
        answer: signAnswer(issue(csr, root, { extensions: [san(dns('other.example'))] })),
      });
      assert.deepEqual(verdictOf(outcome), {
        kind: 'refused',
        message:
          'The CSR asks for DNS:test.example, which the certificate lacks; ' +
          'the certificate has DNS:other.example, which the CSR does not ask for',
      });
    });

    test('a CA was asked for', async () => {
      const { outcome } = await run({ spec: { isCA: true } });
      assert.deepEqual(verdictOf(outcome), {
        kind: 'refused',
        message: 'The request asks for a CA, the certificate is none',
      });
    });
  });

  describe("mismatch, which is the issuer's", () => {
    const cases: readonly [name: string, certificatePem: string, message: string | RegExp][] = [
      ['another key', issue(newCsr(), root), 'The certificate is for another public key than the CSR'],
      [
        'a CA that nobody asked for',
        issue(csr, root, { extensions: [basicConstraintsCa, san(dns('test.example'))] }),
        'The certificate is a CA, which the request does not ask for',
      ],
      ['expired', issue(csr, root, { notAfter: '20261124115959Z' }), 'The certificate has already expired'],
      [
        'not valid yet',
        issue(csr, root, { notBefore: '20261124120501Z' }),
        "The certificate is not valid yet: the CA's clock is ahead of ours",
      ],
      ['no certificate', 'certificate', "CFSSL's certificate: Cannot parse certificate: there is no PEM block"],
      [
        "the issuer's difference goes before the request's",
        issue(newCsr(), root, { extensions: [] }),
        'The certificate is for another public key than the CSR',
      ],
    ];
    for (const [name, certificatePem, message] of cases) {
      test(name, async () => {
        const { outcome } = await run({ answer: signAnswer(certificatePem) });
        assert.deepEqual(verdictOf(outcome), { kind: 'mismatch', message });
      });
    }

    test('signed by another CA', async () => {
      const { outcome } = await run({ answer: signAnswer(issue(csr, other)) });
      assert.equal(outcome.kind, 'mismatch');
    });

    test('signed by another CA: the message names the known one', async () => {
      const { outcome } = await run({ answer: signAnswer(issue(csr, other)) });
      const message = 'The certificate was signed by none of the known CA certificates: "CN=Root"';
      assert.deepEqual(verdictOf(outcome), { kind: 'mismatch', message });
    });
  });

  describe('warnings', () => {
    const warningsOf = async (given: Given): Promise<readonly string[]> => {
      const { outcome } = await run(given);
      assert.ok(outcome.kind === 'signed', JSON.stringify(outcome));
      return outcome.warnings;
    };

    test('another subject', async () => {
      const warnings = await warningsOf({ answer: signAnswer(issue(csr, root, { subject: seq(cn('added')) })) });
      assert.deepEqual(warnings, ['The CSR asks for subject (none), the certificate has CN=added']);
    });

    test('usages that the profile does not give', async () => {
      const warnings = await warningsOf({ spec: { usages: ['server auth'] } });
      assert.deepEqual(warnings, ['The request asks for usages server auth, which the certificate lacks']);
    });

    test('not usages that the profile gives besides: that is the rule', async () => {
      const extensions = [san(dns('test.example')), extendedKeyUsage('1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2')];
      const answer = signAnswer(issue(csr, root, { extensions }));
      assert.deepEqual(await warningsOf({ spec: { usages: ['server auth'] }, answer }), []);
    });

    test('another duration', async () => {
      const short = 'The certificate is valid for less time than the request asks for';
      assert.deepEqual(await warningsOf({ spec: { duration: '24h' } }), [short]);
      assert.deepEqual(await warningsOf({ spec: { duration: '2h' } }), []);
    });

    test('not a duration that cannot be read', async () => {
      assert.deepEqual(await warningsOf({ spec: { duration: 'long' } }), []);
    });
  });

  test("CFSSL's error comes through", async () => {
    const error = cfsslError('CFSSL_UNAVAILABLE');
    await assert.rejects(run({ answer: error }), error);
  });

  test('what stops the POST comes through as it is', async () => {
    const error = new Error('Not the leader any more');
    const beforePost = (): never => {
      throw error;
    };
    await assert.rejects(run({ beforePost }), error);
  });
});
