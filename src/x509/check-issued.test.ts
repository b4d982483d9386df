import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Certificate, parseCertificateDer } from './certificate.ts';
import { checkIssued, type RequestedProperties } from './check-issued.ts';
import { parseCsrDer } from './csr.ts';
import {
  attribute,
  authority,
  basicConstraintsCa,
  type CertificateParts,
  type CsrParts,
  certificate,
  cn,
  csrDer,
  der,
  dns,
  extendedKeyUsage,
  extension,
  keyUsage,
  NOW_MS,
  newKey,
  oid,
  san,
  seq,
  set,
  text,
} from './testing/authority.ts';

const key = newKey();
const ca = authority('ca', { notAfter: '20270101000000Z' });
const bare = certificate({ key, issuer: ca });

interface Case {
  readonly csr?: Partial<CsrParts>;
  /** Parts of the certificate that `ca` issues, or another certificate. */
  readonly issued?: Partial<CertificateParts> | Certificate;
  readonly chain?: readonly Certificate[];
  readonly nowMs?: number;
  readonly requested?: RequestedProperties;
}

function check({ csr, issued = {}, chain = [ca.certificate], nowMs = NOW_MS, requested }: Case) {
  return checkIssued({
    csr: parseCsrDer(csrDer({ key, ...csr })),
    certificate: 'x509' in issued ? issued : certificate({ key, issuer: ca, ...issued }),
    chain,
    nowMs,
    ...(requested && { requested }),
  });
}

const NOTHING = { errors: [], warnings: [] };
const error = (code: string, message: string) => ({ errors: [{ code, message }], warnings: [] });
const warning = (code: string, message: string) => ({ errors: [], warnings: [{ code, message }] });
const sanOf = (...names: readonly Uint8Array[]) => ({ extensions: [san(...names)] });
const ip = (...bytes: readonly number[]) => der(0x87, Buffer.from(bytes));

describe('checkIssued', () => {
  test('finds nothing to say about what was asked for', () => {
    const subject = seq(set(seq(oid('2.5.4.11'), text('x')), seq(oid('2.5.4.11'), text('y'))), cn('a'));
    const recoded = seq(set(seq(oid('2.5.4.11'), text('y', 0x13)), seq(oid('2.5.4.11'), text('x'))), cn('a'));
    const names = [dns('a'), ip(10, 0, 0, 1), text('a@b', 0x81), text('spiffe://a', 0x86)] as const;
    const usages = [keyUsage(0b1010_0000), extendedKeyUsage('1.3.6.1.5.5.7.3.1')];
    assert.deepEqual(
      check({
        csr: { subject, extensions: [san(...names), ...usages] },
        issued: { subject: recoded, extensions: [...usages, san(...names.toReversed())] },
        requested: {
          isCa: false,
          usages: ['signing', 'key encipherment', 'server auth'],
          durationMs: 7_200_000,
        },
      }),
      NOTHING,
    );
  });

  describe('public key', () => {
    test('of another pair is an error', () => {
      const issued = certificate({ key: newKey(), issuer: ca });
      assert.deepEqual(check({ issued }), error('PublicKey', 'The certificate is for another public key than the CSR'));
    });
  });

  describe('names', () => {
    const rows: readonly (readonly [string, readonly Uint8Array[], readonly Uint8Array[], string | undefined])[] = [
      [
        'that are missing are an error',
        [dns('a'), dns('b')],
        [dns('a')],
        'The CSR asks for DNS:b, which the certificate lacks',
      ],
      [
        'that are added are an error',
        [dns('a')],
        [dns('a'), dns('b')],
        'The certificate has DNS:b, which the CSR does not ask for',
      ],
      [
        'that are others are an error',
        [dns('a')],
        [dns('b')],
        'The CSR asks for DNS:a, which the certificate lacks; the certificate has DNS:b, which the CSR does not ask for',
      ],
      [
        'of another kind are others',
        [dns('a@b')],
        [text('a@b', 0x81)],
        'The CSR asks for DNS:a@b, which the certificate lacks; the certificate has email:a@b, which the CSR does not ask for',
      ],
      [
        'of IP addresses go by their bytes',
        [ip(10, 0, 0, 1)],
        [ip(...Array<number>(10).fill(0), 255, 255, 10, 0, 0, 1)],
        undefined,
      ],
      ['of DNS go without case', [dns('A.example')], [dns('a.EXAMPLE')], undefined],
      [
        'of e-mail go with case',
        [text('A@b', 0x81)],
        [text('a@b', 0x81)],
        'The CSR asks for email:A@b, which the certificate lacks; the certificate has email:a@b, which the CSR does not ask for',
      ],
      ['may come twice', [dns('a'), dns('a')], [dns('a')], undefined],
      [
        'that CFSSL drops are missed',
        [dns('a'), der(0xa0, oid('1.2.3'), der(0xa0, text('x')))],
        [dns('a')],
        'The CSR asks for otherName:1.2.3=x, which the certificate lacks',
      ],
      [
        'are listed up to ten',
        Array.from({ length: 13 }, (_, index) => dns(`n${index}`)),
        [dns('n0')],
        'The CSR asks for DNS:n1, DNS:n2, DNS:n3, DNS:n4, DNS:n5, DNS:n6, DNS:n7, DNS:n8, DNS:n9, DNS:n10 and 2 more, which the certificate lacks',
      ],
    ];
    for (const [name, asked, has, message] of rows) {
      test(name, () => {
        const expected = message === undefined ? NOTHING : error('Names', message);
        assert.deepEqual(check({ csr: sanOf(...asked), issued: sanOf(...has) }), expected);
      });
    }

    test('are listed in full when they are ten', () => {
      const ten = Array.from({ length: 10 }, (_, index) => dns(`n${index}`));
      assert.match(check({ csr: sanOf(...ten) }).errors[0]?.message ?? '', /DNS:n9, which the certificate lacks$/);
    });

    test('without a SAN on either side', () => {
      assert.deepEqual(
        check({ csr: sanOf(dns('a')) }).errors.map(({ code }) => code),
        ['Names'],
      );
      assert.deepEqual(
        check({ issued: sanOf(dns('a')) }).errors.map(({ code }) => code),
        ['Names'],
      );
    });
  });

  describe('CA flag', () => {
    const asCa = { extensions: [basicConstraintsCa] };
    const unasked = error('CaFlag', 'The certificate is a CA, which the request does not ask for');
    const refused = error('NotCa', 'The request asks for a CA, the certificate is none');
    const rows: readonly (readonly [string, Case, object])[] = [
      ['unasked is an error', { issued: asCa }, unasked],
      ['asked by the CSR only is unasked', { csr: asCa, issued: asCa, requested: { isCa: false } }, unasked],
      ['asked by the CSR serves where nothing else is said', { csr: asCa, issued: asCa }, NOTHING],
      ['asked by the request', { issued: asCa, requested: { isCa: true } }, NOTHING],
      ['asked and not given is an error of its own', { csr: asCa }, refused],
      ['asked by the request and not given', { requested: { isCa: true } }, refused],
    ];
    for (const [name, given, expected] of rows) test(name, () => assert.deepEqual(check(given), expected));
  });

  describe('validity', () => {
    const expired = error('Validity', 'The certificate has already expired');
    const early = error('Validity', "The certificate is not valid yet: the CA's clock is ahead of ours");
    const rows: readonly (readonly [string, number, object])[] = [
      ['serves at its last moment', bare.notAfterMs, { errors: [] }],
      ['has expired a moment later', bare.notAfterMs + 1, expired],
      ['may begin in five minutes', bare.notBeforeMs - 300_000, NOTHING],
      ['may not begin later', bare.notBeforeMs - 300_001, early],
    ];
    // A CA that is always valid, so that only the certificate's own time counts
    const chain = [
      authority('ca', { key: ca.key, notBefore: '20200101000000Z', notAfter: '20300101000000Z' }).certificate,
    ];
    for (const [name, nowMs, expected] of rows) {
      test(name, () => assert.partialDeepStrictEqual(check({ issued: bare, nowMs, chain }), expected));
    }
  });

  describe('signer', () => {
    const message = 'The certificate was signed by none of the known CA certificates: ';

    test('may be anywhere in the chain, and the certificate itself too', () => {
      const chain = [bare, authority('other').certificate, ca.certificate];
      assert.deepEqual(check({ issued: bare, chain }).errors, []);
    });

    test('is missing', () => {
      assert.deepEqual(check({ chain: [] }), error('Signer', `${message}none is known`));
      assert.deepEqual(check({ issued: bare, chain: [bare] }), error('Signer', `${message}none is known`));
    });

    test('is another', () => {
      const chain = [authority('x', { notAfter: '20270101000000Z' }).certificate];
      assert.deepEqual(check({ chain }), error('Signer', `${message}"CN=x"`));
    });

    test('has the name, but not the key', () => {
      const chain = [authority('ca', { notAfter: '20270101000000Z' }).certificate];
      assert.deepEqual(check({ chain }), error('Signer', `${message}"CN=ca"`));
    });

    test('is not the certificate itself', () => {
      const selfSigned = certificate({ key, extensions: [basicConstraintsCa] });
      assert.deepEqual(check({ issued: selfSigned, chain: [selfSigned], requested: { isCa: true } }).errors, [
        { code: 'Signer', message: `${message}none is known` },
      ]);
    });

    const renewed = (notBefore: string, notAfter: string) =>
      authority('ca', { key: ca.key, notBefore, notAfter }).certificate;
    const old = renewed('20200101000000Z', '20261124115959Z');
    const invalid = { code: 'Signer', message: 'The CA certificate "CN=ca" is not valid now' };

    test('has expired', () => {
      assert.deepEqual(check({ chain: [old] }).errors, [invalid]);
      assert.deepEqual(check({ chain: [renewed('20200101000000Z', '20261124120000Z')] }).errors, []);
    });

    test('is not valid yet', () => {
      assert.deepEqual(check({ chain: [renewed('20261124120501Z', '20270101000000Z')] }).errors, [invalid]);
      assert.deepEqual(check({ chain: [renewed('20261124120500Z', '20270101000000Z')] }).errors, []);
    });

    test('has expired, but was renewed under its key', () => {
      assert.deepEqual(check({ chain: [old, ca.certificate] }).errors, []);
    });
  });

  test('CT poison is an error', () => {
    const issued = { extensions: [extension('1.3.6.1.4.1.11129.2.4.3', der(0x05), true)] };
    assert.deepEqual(check({ issued }), error('Poison', 'The certificate is a precertificate (CT poison)'));
  });

  describe('subject', () => {
    test('that differs is a warning', () => {
      assert.deepEqual(
        check({ csr: { subject: seq(cn('a')) }, issued: { subject: seq(cn('b'), attribute('2.5.4.10', text('o'))) } }),
        warning('Subject', 'The CSR asks for subject CN=a, the certificate has CN=b, O=o'),
      );
      assert.deepEqual(
        check({ csr: { subject: seq(cn('a')) } }),
        warning('Subject', 'The CSR asks for subject CN=a, the certificate has (none)'),
      );
    });

    test('in another order or grouping is a warning of its own', () => {
      const [ou, o] = [attribute('2.5.4.11', text('x')), attribute('2.5.4.10', text('o'))];
      const sorts = (asked: string, issued: string) =>
        warning(
          'SubjectOrder',
          `CFSSL sorts subjects: the CSR asks for ${asked}, in this order, the certificate has ${issued}`,
        );
      assert.deepEqual(
        check({ csr: { subject: seq(cn('a'), o, ou) }, issued: { subject: seq(o, ou, cn('a')) } }),
        sorts('CN=a, O=o, OU=x', 'O=o, OU=x, CN=a'),
      );
      const [x, y] = [seq(oid('2.5.4.11'), text('x')), seq(oid('2.5.4.11'), text('y'))];
      assert.deepEqual(
        check({ csr: { subject: seq(set(y), set(x)) }, issued: { subject: seq(set(x, y)) } }),
        sorts('OU=y, OU=x', 'OU=x+OU=y'),
      );
    });

    test('is compared as a multiset first', () => {
      const twice = seq(cn('a'), cn('a'));
      assert.equal(check({ csr: { subject: twice }, issued: { subject: seq(cn('a')) } }).warnings.length, 1);
      assert.equal(check({ csr: { subject: twice }, issued: { subject: twice } }).warnings.length, 0);
      const swapped = { subject: seq(attribute('2.5.4.10', text('a')), cn('b')) };
      assert.equal(
        check({ csr: { subject: seq(cn('a'), attribute('2.5.4.10', text('b'))) }, issued: swapped }).warnings.length,
        1,
      );
    });
  });

  describe('usages', () => {
    const issued = { extensions: [keyUsage(0b1000_0000), extendedKeyUsage('1.3.6.1.5.5.7.3.4', '1.2.3')] };

    test('that are missing or added are warnings', () => {
      assert.deepEqual(
        check({ issued, requested: { usages: ['digital signature', 'server auth', 'client auth', '1.2.3'] } }),
        {
          errors: [],
          warnings: [
            {
              code: 'MissingUsages',
              message: 'The request asks for usages server auth, client auth, which the certificate lacks',
            },
            {
              code: 'ExtraUsages',
              message: 'The certificate has usages email protection, which the request does not ask for',
            },
          ],
        },
      );
    });

    test('have two names sometimes', () => {
      assert.deepEqual(check({ issued, requested: { usages: ['signing', 's/mime', '1.2.3'] } }), NOTHING);
    });

    test('are those of the CSR where nothing else is said', () => {
      assert.deepEqual(check({ csr: issued, issued }), NOTHING);
      assert.deepEqual(
        check({ csr: issued }).warnings.map(({ code }) => code),
        ['MissingUsages'],
      );
      assert.deepEqual(
        check({ csr: issued, issued, requested: { usages: [] } }).warnings.map(({ code }) => code),
        ['ExtraUsages'],
      );
    });
  });

  describe('duration', () => {
    const short = warning('ShortValidity', 'The certificate is valid for less time than the request asks for');
    const long = warning('LongValidity', 'The certificate is valid for more time than the request asks for');
    const lifetimeMs = bare.notAfterMs - bare.notBeforeMs;
    const rows: readonly (readonly [string, RequestedProperties, object])[] = [
      ['may be 30 s shorter', { durationMs: lifetimeMs + 30_000 }, NOTHING],
      ['may not be shorter', { durationMs: lifetimeMs + 30_001 }, short],
      ['may be 30 s longer', { durationMs: lifetimeMs - 30_000 }, NOTHING],
      ['may not be longer', { durationMs: lifetimeMs - 30_001 }, long],
      [
        'may not end before what was sent',
        { durationMs: lifetimeMs, notAfterMs: bare.notAfterMs + 30_001 },
        warning('ShortValidity', 'The certificate ends sooner than CFSSL was asked to have it end'),
      ],
      [
        'may not end after what was sent',
        { durationMs: lifetimeMs, notAfterMs: bare.notAfterMs - 30_001 },
        warning('LongValidity', 'The certificate ends later than CFSSL was asked to have it end'),
      ],
      ['may end as was sent', { notAfterMs: bare.notAfterMs }, NOTHING],
      ['is compared too when less was sent', { durationMs: 2 * lifetimeMs, notAfterMs: bare.notAfterMs }, short],
    ];
    for (const [name, requested, expected] of rows) {
      test(name, () => assert.deepEqual(check({ issued: bare, requested }), expected));
    }
  });

  test('a renewal that is due at once is a warning', () => {
    const loop = warning(
      'RenewalLoop',
      'Two thirds of the validity are over already, so cert-manager renews the certificate over and over; give the profile a longer expiry',
    );
    const twoThirdsMs = bare.notBeforeMs + (2 / 3) * (bare.notAfterMs - bare.notBeforeMs);
    assert.deepEqual(check({ issued: bare, nowMs: twoThirdsMs - 1 }), NOTHING);
    assert.deepEqual(check({ issued: bare, nowMs: twoThirdsMs }), loop);
  });

  describe('CA certificates', () => {
    test('that end first are warnings', () => {
      const chain = [
        authority('ca', { key: ca.key, notAfter: '20261124125959Z' }).certificate,
        authority('same end', { notAfter: '20261124130000Z' }).certificate,
      ];
      assert.deepEqual(
        check({ chain }),
        warning(
          'OutlivesCa',
          'The certificate outlives the CA certificate "CN=ca", which ends at Nov 24 12:59:59 2026 GMT',
        ),
      );
    });
  });

  test('names every difference at once, in order', () => {
    const issued = certificate({
      key: newKey(),
      issuer: authority('x'),
      subject: seq(cn('b')),
      notAfter: '20261124115959Z',
      extensions: [
        san(dns('b')),
        basicConstraintsCa,
        keyUsage(4),
        extension('1.3.6.1.4.1.11129.2.4.3', der(0x05), true),
      ],
    });
    const chain = [authority('ca', { notAfter: '20261124110001Z' }).certificate];
    const { errors, warnings } = check({ issued, chain, requested: { usages: ['any'], durationMs: 1e9 } });
    const codes = [errors, warnings].map((list) => list.map(({ code }) => code));
    assert.deepEqual(codes, [
      ['PublicKey', 'Names', 'CaFlag', 'Validity', 'Signer', 'Poison'],
      ['Subject', 'MissingUsages', 'ExtraUsages', 'ShortValidity', 'OutlivesCa'],
    ]);
  });

  test('messages hold no text that can deceive', () => {
    const subject = seq(cn('a\n\u{202e}b'));
    assert.deepEqual(
      check({ csr: { subject } }),
      warning('Subject', 'The CSR asks for subject CN=a\\u{a}\\u{202e}b, the certificate has (none)'),
    );
    assert.equal(parseCertificateDer(certificate({ key, subject }).der).subjectText, 'CN=a\\u{a}\\u{202e}b');
  });
});
