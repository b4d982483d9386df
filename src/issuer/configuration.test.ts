import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { configMap, secret } from '../../test/support/builders.ts';
import { CONFIG_MAPS, type IssuerSpec, SECRETS } from '../api/index.ts';
import { type AuthKey, createToken } from '../cfssl/index.ts';
import { authority } from '../x509/testing/authority.ts';
import {
  buildConfiguration,
  type Lookup,
  type ObjectReference,
  type ObjectState,
  parseSpec,
  referencesOf,
} from './configuration.ts';
import { IssuerProblem } from './issuer-problem.ts';

const KEY = '0123456789abcdef0123456789ABCDEF';
const CA = authority('CA').certificate;
const OTHER_CA = authority('Other CA').certificate;

const bare: IssuerSpec = { url: 'https://ca.example', authSecretName: 'ca-key', label: 'main' };

/** The objects of the namespace `team`, by kind and name; what is not there is absent. */
function lookupIn(objects: Readonly<Record<string, ObjectState>>): Lookup {
  return ({ resource, namespace, name }) => {
    assert.equal(namespace, 'team');
    const id = `${resource.kind}/${name}`;
    return Object.hasOwn(objects, id) ? (objects[id] ?? { state: 'absent' }) : { state: 'absent' };
  };
}

const present = (object: ReturnType<typeof secret> | ReturnType<typeof configMap>): ObjectState => ({
  state: 'present',
  object,
});
const failed: ObjectState = { state: 'failed', error: new Error('Cannot list secrets: 403 Forbidden: no') };
const keySecret = { 'Secret/ca-key': present(secret({ key: KEY })) };

function build(spec: Partial<IssuerSpec> = {}, objects: Readonly<Record<string, ObjectState>> = {}) {
  return buildConfiguration({ ...bare, ...spec }, 'team', lookupIn({ ...keySecret, ...objects }));
}

/** A key cannot be read, so it is told by what it signs. */
const tokenOf = (key: AuthKey | undefined): string | undefined => key && createToken(key, Buffer.from('request'));
const TOKEN = tokenOf(build().key);

describe('parseSpec()', () => {
  test('takes a bare spec', () => {
    assert.deepEqual(parseSpec(bare), bare);
  });

  test('drops fields that it does not know', () => {
    assert.deepEqual(parseSpec({ ...bare, unknown: 1 }), bare);
  });

  const cases: readonly [name: string, spec: unknown, message: string][] = [
    ['a missing field', { ...bare, url: undefined }, 'spec.url: Invalid input: expected string, received undefined'],
    [
      'a field of another type',
      { ...bare, bundle: 'yes' },
      'spec.bundle: Invalid input: expected boolean, received string',
    ],
    [
      'a nested field',
      { ...bare, tls: { ca: { secretRef: { name: 'ca' } } } },
      'spec.tls.ca.secretRef.key: Invalid input: expected string, received undefined',
    ],
    ['a duration that is none', { ...bare, timeout: '10' }, 'spec.timeout: must be a duration like 10s, 1m or 1h30m'],
    [
      'two fields, each named',
      { ...bare, label: 1, timeout: '-1s' },
      'spec.label: Invalid input: expected string, received number; spec.timeout: must be a duration like 10s, 1m or 1h30m',
    ],
  ];
  for (const [name, spec, message] of cases) {
    test(`${name} is an InvalidSpec`, () => {
      assert.throws(() => parseSpec(spec), new IssuerProblem('InvalidSpec', message));
    });
  }

  test('no spec at all is an InvalidSpec', () => {
    const message = 'spec: Invalid input: expected object, received undefined';
    assert.throws(() => parseSpec(undefined), new IssuerProblem('InvalidSpec', message));
  });
});

describe('referencesOf()', () => {
  const at = (resource: ObjectReference['resource'], name: string): ObjectReference => ({
    resource,
    namespace: 'team',
    name,
  });
  const cases: readonly [name: string, spec: Partial<IssuerSpec>, expected: readonly ObjectReference[]][] = [
    ['the auth Secret', {}, [at(SECRETS, 'ca-key')]],
    [
      'PEM in the spec is no reference',
      { tls: { ca: { pem: CA.pem } }, chain: { pem: CA.pem } },
      [at(SECRETS, 'ca-key')],
    ],
    [
      'every Secret and ConfigMap that is named',
      {
        tls: { ca: { configMapRef: { name: 'roots', key: 'ca.pem' } }, clientCertificateSecretName: 'client' },
        chain: { secretRef: { name: 'chain', key: 'chain.pem' } },
      },
      [at(SECRETS, 'ca-key'), at(SECRETS, 'client'), at(CONFIG_MAPS, 'roots'), at(SECRETS, 'chain')],
    ],
  ];
  for (const [name, spec, expected] of cases) {
    test(name, () => {
      assert.deepEqual(referencesOf({ ...bare, ...spec }, 'team'), expected);
    });
  }
});

describe('buildConfiguration()', () => {
  test('a bare spec has the defaults', () => {
    const { key, ...rest } = build();
    assert.equal(tokenOf(key), TOKEN);
    assert.deepEqual(rest, {
      endpoints: [{ url: 'https://ca.example', origin: 'https://ca.example', path: '' }],
      label: 'main',
      profile: undefined,
      caProfile: undefined,
      bundle: false,
      secret: 'team/ca-key',
      nextKey: undefined,
      additionalData: new Uint8Array(),
      trustPem: undefined,
      clientCertificate: undefined,
      chain: [],
      maxDurationMs: undefined,
      timeoutMs: 10_000,
      healthCheckIntervalMs: 60_000,
    });
  });

  test('a full spec', () => {
    const { key, nextKey, additionalData, chain, ...rest } = build(
      {
        url: 'https://ca1.example:8888/cfssl/, ca2.example,',
        label: '',
        profile: 'server',
        caProfile: 'ca',
        bundle: true,
        maxDuration: '2160h',
        tls: { ca: { configMapRef: { name: 'roots', key: 'ca.pem' } }, clientCertificateSecretName: 'client' },
        chain: { secretRef: { name: 'chain', key: 'chain.pem' } },
        timeout: '1m30s',
        healthCheckInterval: '5m',
      },
      {
        'Secret/ca-key': present(secret({ key: KEY, key_next: '00ff', additional_data: 'extra' })),
        'Secret/client': present(secret({ 'tls.crt': 'CERTIFICATE', 'tls.key': 'KEY' })),
        'ConfigMap/roots': present(configMap({ 'ca.pem': `# Roots\n${CA.pem}\n${OTHER_CA.pem}` })),
        'Secret/chain': present(secret({ 'chain.pem': CA.pem })),
      },
    );
    assert.equal(tokenOf(key), TOKEN);
    assert.equal(tokenOf(nextKey), tokenOf(build({}, { 'Secret/ca-key': present(secret({ key: '00ff' })) }).key));
    assert.equal(Buffer.from(additionalData).toString(), 'extra');
    assert.deepEqual(
      chain.map(({ pem }) => pem),
      [CA.pem],
    );
    assert.deepEqual(rest, {
      endpoints: [
        { url: 'https://ca1.example:8888/cfssl', origin: 'https://ca1.example:8888', path: '/cfssl' },
        { url: 'http://ca2.example', origin: 'http://ca2.example', path: '' },
      ],
      label: '',
      profile: 'server',
      caProfile: 'ca',
      bundle: true,
      secret: 'team/ca-key',
      trustPem: CA.pem + OTHER_CA.pem,
      clientCertificate: { certPem: 'CERTIFICATE', keyPem: 'KEY' },
      maxDurationMs: 7_776_000_000,
      timeoutMs: 90_000,
      healthCheckIntervalMs: 300_000,
    });
  });

  test('an empty profile is none', () => {
    assert.equal(build({ profile: '' }).profile, undefined);
  });

  for (const [name, text] of [
    ['a line break at its end', `${KEY}\n`],
    ['blanks around it', ` \t${KEY} \r\n`],
    ['upper case', KEY.toUpperCase()],
  ] as const) {
    test(`a key may have ${name}`, () => {
      assert.equal(tokenOf(build({}, { 'Secret/ca-key': present(secret({ key: text })) }).key), TOKEN);
    });
  }

  for (const bytes of [Buffer.of(), Buffer.of(0, 0xff, 0x0a, 0x80), Buffer.from('ä\n')]) {
    test(`additional_data is its bytes: ${JSON.stringify(bytes.toString('hex'))}`, () => {
      const { additionalData } = build({}, { 'Secret/ca-key': present(secret({ key: KEY, additional_data: bytes })) });
      assert.deepEqual(Buffer.from(additionalData), bytes);
    });
  }

  test('PEM in the spec', () => {
    const { trustPem, chain } = build({ tls: { ca: { pem: CA.pem } }, chain: { pem: OTHER_CA.pem } });
    assert.equal(trustPem, CA.pem);
    assert.deepEqual(
      chain.map(({ pem }) => pem),
      [OTHER_CA.pem],
    );
  });

  const roots = { tls: { ca: { configMapRef: { name: 'roots', key: 'ca.pem' } } } };

  test('a ConfigMap may hold the PEM in binaryData', () => {
    const object = configMap({}, { 'ca.pem': Buffer.from(CA.pem) });
    assert.equal(build(roots, { 'ConfigMap/roots': present(object) }).trustPem, CA.pem);
  });

  test("a ConfigMap's data goes before its binaryData", () => {
    const object = configMap({ 'ca.pem': CA.pem }, { 'ca.pem': Buffer.from(OTHER_CA.pem) });
    assert.equal(build(roots, { 'ConfigMap/roots': present(object) }).trustPem, CA.pem);
  });

  test("a ConfigMap's data is no base64", () => {
    const object = configMap({ 'ca.pem': Buffer.from(CA.pem).toString('base64') });
    assert.throws(() => build(roots, { 'ConfigMap/roots': present(object) }), { reason: 'InvalidConfigMap' });
  });

  test('a field may be named as a property that every object has', () => {
    const data = JSON.parse(JSON.stringify({ constructor: CA.pem }).replace('constructor', '__proto__')) as object;
    const object = { ...configMap(), data: data as Record<string, string> };
    const spec = { tls: { ca: { configMapRef: { name: 'roots', key: '__proto__' } } } };
    assert.equal(build(spec, { 'ConfigMap/roots': present(object) }).trustPem, CA.pem);
  });

  for (const [text, expectedMs] of [
    ['1s', 1000],
    ['100ms', 1000],
    ['1h', 3_600_000],
  ] as const) {
    test(`healthCheckInterval ${text} is ${expectedMs} ms`, () => {
      assert.equal(build({ healthCheckInterval: text }).healthCheckIntervalMs, expectedMs);
    });
  }

  interface Problem {
    readonly name: string;
    readonly spec?: Partial<IssuerSpec>;
    readonly objects?: Readonly<Record<string, ObjectState>>;
    readonly expected: readonly [reason: IssuerProblem['reason'], message: string];
  }
  const trustFrom = (key: string): Partial<IssuerSpec> => ({ tls: { ca: { secretRef: { name: 'roots', key } } } });
  const problems: readonly Problem[] = [
    {
      name: 'a URL that is none',
      spec: { url: 'ftp://ca.example' },
      expected: ['InvalidSpec', 'spec.url: Cannot use CFSSL URL: the scheme is "ftp", not http or https'],
    },
    {
      name: 'no URL',
      spec: { url: ' , ' },
      expected: ['InvalidSpec', 'spec.url: Cannot use CFSSL URL: there is none'],
    },
    {
      name: 'a timeout of nothing',
      spec: { timeout: '0s' },
      expected: ['InvalidSpec', 'spec.timeout: "0s" is no duration like 10s or 1m30s'],
    },
    {
      name: 'a health check interval of nothing',
      spec: { healthCheckInterval: '0m' },
      expected: ['InvalidSpec', 'spec.healthCheckInterval: "0m" is no duration like 10s or 1m30s'],
    },
    {
      name: 'no auth Secret',
      objects: { 'Secret/ca-key': { state: 'absent' } },
      expected: ['SecretNotFound', 'Secret team/ca-key does not exist; create it'],
    },
    {
      name: 'an auth Secret that may not be read',
      objects: { 'Secret/ca-key': failed },
      expected: ['AccessDenied', 'Cannot read Secret team/ca-key: Cannot list secrets: 403 Forbidden: no'],
    },
    {
      name: 'an auth Secret without a key',
      objects: { 'Secret/ca-key': present(secret({ token: KEY })) },
      expected: ['InvalidSecret', 'Secret team/ca-key has no field "key"'],
    },
    {
      name: 'an auth Secret without data',
      objects: { 'Secret/ca-key': present({ metadata: secret().metadata }) },
      expected: ['InvalidSecret', 'Secret team/ca-key has no field "key"'],
    },
    {
      name: 'no Secret of the client certificate',
      spec: { tls: { clientCertificateSecretName: 'client' } },
      expected: ['SecretNotFound', 'Secret team/client does not exist; create it'],
    },
    {
      name: 'a Secret of the client certificate without a certificate',
      spec: { tls: { clientCertificateSecretName: 'client' } },
      objects: { 'Secret/client': present(secret({ 'tls.key': 'KEY' })) },
      expected: ['InvalidSecret', 'Secret team/client has no field "tls.crt"'],
    },
    {
      name: 'a Secret of the client certificate without a key',
      spec: { tls: { clientCertificateSecretName: 'client' } },
      objects: { 'Secret/client': present(secret({ 'tls.crt': 'CERTIFICATE' })) },
      expected: ['InvalidSecret', 'Secret team/client has no field "tls.key"'],
    },
    {
      name: 'trust from nowhere',
      spec: { tls: { ca: {} } },
      expected: ['InvalidSpec', 'spec.tls.ca needs exactly one of pem, secretRef and configMapRef'],
    },
    {
      name: 'a chain from nowhere',
      spec: { chain: {} },
      expected: ['InvalidSpec', 'spec.chain needs exactly one of pem, secretRef and configMapRef'],
    },
    {
      name: 'PEM in the spec that is none',
      spec: { chain: { pem: 'certificate' } },
      expected: ['InvalidSpec', 'spec.chain.pem: Cannot parse certificate: there is no PEM block'],
    },
    {
      name: 'no Secret of the trust',
      spec: trustFrom('ca.crt'),
      expected: ['SecretNotFound', 'Secret team/roots does not exist; create it'],
    },
    {
      name: 'a Secret of the trust without the field',
      spec: trustFrom('ca.crt'),
      objects: { 'Secret/roots': present(secret({ 'ca.pem': CA.pem })) },
      expected: ['InvalidSecret', 'Secret team/roots has no field "ca.crt"'],
    },
    {
      name: 'a Secret of the trust without a certificate',
      spec: trustFrom('ca.crt'),
      objects: { 'Secret/roots': present(secret({ 'ca.crt': 'certificate' })) },
      expected: [
        'InvalidSecret',
        'Secret team/roots, field "ca.crt" (spec.tls.ca): Cannot parse certificate: there is no PEM block',
      ],
    },
    {
      name: 'no ConfigMap',
      spec: roots,
      expected: ['ConfigMapNotFound', 'ConfigMap team/roots does not exist; create it'],
    },
    {
      name: 'a ConfigMap that may not be read',
      spec: roots,
      objects: { 'ConfigMap/roots': failed },
      expected: ['AccessDenied', 'Cannot read ConfigMap team/roots: Cannot list secrets: 403 Forbidden: no'],
    },
    {
      name: 'a ConfigMap without the field',
      spec: roots,
      objects: { 'ConfigMap/roots': present(configMap({ 'ca.crt': CA.pem })) },
      expected: ['InvalidConfigMap', 'ConfigMap team/roots has no field "ca.pem"'],
    },
    {
      name: 'a ConfigMap without data',
      spec: roots,
      objects: { 'ConfigMap/roots': present({ metadata: configMap().metadata }) },
      expected: ['InvalidConfigMap', 'ConfigMap team/roots has no field "ca.pem"'],
    },
    {
      name: 'a ConfigMap without a certificate',
      spec: roots,
      objects: { 'ConfigMap/roots': present(configMap({ 'ca.pem': '' })) },
      expected: [
        'InvalidConfigMap',
        'ConfigMap team/roots, field "ca.pem" (spec.tls.ca): Cannot parse certificate: there is no PEM block',
      ],
    },
    ...['__proto__', 'constructor', 'toString', 'hasOwnProperty'].flatMap((field): Problem[] => [
      {
        name: `a Secret without a field named ${field}`,
        spec: trustFrom(field),
        objects: { 'Secret/roots': present(secret()) },
        expected: ['InvalidSecret', `Secret team/roots has no field "${field}"`],
      },
      {
        name: `a ConfigMap without a field named ${field}`,
        spec: { chain: { configMapRef: { name: 'roots', key: field } } },
        objects: { 'ConfigMap/roots': present(configMap()) },
        expected: ['InvalidConfigMap', `ConfigMap team/roots has no field "${field}"`],
      },
    ]),
  ];
  for (const { name, spec, objects, expected } of problems) {
    test(`${name}: ${expected[0]}`, () => {
      assert.throws(
        () => build(spec, objects),
        (error) => {
          assert.ok(error instanceof IssuerProblem);
          assert.deepEqual([error.reason, error.message], expected);
          return true;
        },
      );
    });
  }

  const badKeys: readonly [name: string, text: string, flaw: string][] = [
    ['an empty key', '', 'it is empty'],
    ['a blank key', ' \n', 'it is empty'],
    ['a key with an odd number of digits', `${KEY}0`, 'it has an odd number of hexadecimal digits'],
    ['a key that is no hexadecimal', `${KEY}-s3cret`, 'it holds something else than hexadecimal digits'],
    ['a key of two lines', `${KEY}\n${KEY}`, 'it holds something else than hexadecimal digits'],
    ['a key in quotes', `"${KEY}"`, 'it holds something else than hexadecimal digits'],
    ['bytes that are no text', '\xff\xfe\u0000s3cret', 'it holds something else than hexadecimal digits'],
    [
      'a reference to our environment',
      'env:S3CRET_VARIABLE',
      'references with env: or file: are not followed, it must be the key itself',
    ],
    [
      'a reference to our disk',
      'file:/etc/s3cret',
      'references with env: or file: are not followed, it must be the key itself',
    ],
  ];
  for (const field of ['key', 'key_next'] as const) {
    for (const [name, text, flaw] of badKeys) {
      test(`${name} as ${field}: InvalidSecret, without a word of it`, () => {
        const object = secret({ key: KEY, [field]: text });
        assert.throws(
          () => build({}, { 'Secret/ca-key': present(object) }),
          (error) => {
            assert.ok(error instanceof IssuerProblem);
            const message = `Secret team/ca-key, field "${field}": Cannot use authentication key: ${flaw}`;
            assert.deepEqual([error.reason, error.message], ['InvalidSecret', message]);
            // Where an error is logged its cause is too.
            assert.doesNotMatch(JSON.stringify([error.message, String(error.cause), error.cause]), /s3cret|0123/i);
            return true;
          },
        );
      });
    }
  }
});
