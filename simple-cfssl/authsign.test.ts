import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseCertificates } from '../src/x509/index.ts';
import { answerAuthsign, decideAuthsign } from './authsign.ts';
import { Metrics } from './metrics.ts';
import { authenticate, createConfiguration, createCsr, NOW_MS, PREVIOUS_KEY } from './testing/test-support.ts';

const csr = await createCsr({ names: [{ type: 'dns', value: 'a.example' }] });
const configuration = await createConfiguration({
  profiles: {
    rotated: { prev_auth_key: 'previous' },
    open: { auth_key: '' },
    extended: { allowed_extensions: ['2.5.29.17'] },
  },
  settings: 'nets = 10.0.0.0/8, ::1/128',
  defaultLabel: 'intermediate2',
  bundle: true,
});
const good = { certificate_request: csr, label: 'intermediate2' };

function decide(body: Uint8Array, { method = 'POST', peer = '127.0.0.1' } = {}) {
  const decision = decideAuthsign(configuration, { method, body, peer });
  return decision.kind === 'sign' ? 'sign' : `${decision.answer.status} ${messageOf(decision.answer.body)}`;
}

function messageOf(body: string): string {
  const { errors } = JSON.parse(body) as { errors: { code: number; message: string }[] };
  assert.equal(errors[0]?.code, 1);
  return errors[0].message;
}

describe('decideAuthsign', () => {
  const cases: readonly (readonly [
    name: string,
    expected: string,
    body: Buffer,
    options?: { method?: string; peer?: string },
  ])[] = [
    ['a good request', 'sign', authenticate(good)],
    ['another method, before all else', '405 only POST is permitted', Buffer.from('x'), { method: 'PUT' }],
    ['no body', '400 unexpected end of JSON input', Buffer.alloc(0)],
    [
      'the inner JSON before the token',
      "400 invalid character 'x' looking for beginning of value",
      authenticate('x', '00'),
    ],
    [
      'nets before label, profile and token',
      '403 not authorised',
      authenticate({ label: 'intermediate1', profile: 'x' }, ''),
    ],
    [
      'nets by the IPv4 peer of a socket for both',
      '400 invalid request',
      authenticate({ label: 'intermediate1' }),
      { peer: '::ffff:10.1.1.1' },
    ],
    ['nets by the IPv6 peer', '400 invalid request', authenticate({ label: 'intermediate1' }), { peer: '::1' }],
    ['a label that is not there, before the profile', '400 bad request', authenticate({ label: 'x', profile: 'x' })],
    ['no label: the default one', 'sign', authenticate({ certificate_request: csr })],
    [
      'a profile that is not there, before the token',
      '400 invalid profile',
      authenticate({ ...good, profile: 'x' }, ''),
    ],
    ['a profile without key', '401 authorisation required', authenticate({ ...good, profile: 'open' })],
    ['a wrong token, before the CSR', '400 invalid token', authenticate({ label: 'intermediate2' }, 'ff')],
    ['the previous key', 'sign', authenticate({ ...good, profile: 'rotated' }, PREVIOUS_KEY)],
    ['the previous key of another profile', '400 invalid token', authenticate(good, PREVIOUS_KEY)],
    ['a token that is too short', '400 invalid token', Buffer.from(JSON.stringify({ token: 'AAAA', request: 'e30=' }))],
    ['no CSR', '400 invalid request', authenticate({ label: 'intermediate2', certificate_request: '' })],
    [
      'a bundle that is no boolean',
      '400 json: cannot unmarshal string into Go struct field SignRequest.bundle of type bool',
      authenticate({ ...good, bundle: 'x' }),
    ],
  ];
  for (const [name, expected, body, options] of cases) {
    test(name, () => {
      assert.equal(decide(body, options), expected);
    });
  }

  test('takes any name for the default profile when there is no map of profiles', () => {
    const label = configuration.labels.get('intermediate2');
    assert.ok(label);
    const labels = new Map([['x', { ...label, policy: { ...label.policy, profiles: undefined } }]]);
    const body = authenticate({ ...good, label: 'x', profile: 'whatever' });
    assert.equal(decideAuthsign({ ...configuration, labels }, { method: 'POST', body, peer: '' }).kind, 'sign');
  });
});

describe('answerAuthsign', () => {
  const answer = async (request: object, used = configuration) => {
    const metrics = new Metrics();
    const lines: string[] = [];
    const deps = { now: () => NOW_MS, log: (level: string, line: string) => lines.push(`${level} ${line}`), metrics };
    const { body, ...rest } = await answerAuthsign(
      used,
      { method: 'POST', body: authenticate(request), peer: '::1' },
      deps,
    );
    return { ...rest, json: JSON.parse(body) as Answered, metrics, lines };
  };
  interface Answered {
    readonly result: {
      readonly certificate: string;
      readonly bundle?: { readonly bundle: string; readonly root: string };
    } | null;
    readonly errors: unknown;
  }

  test('gives a certificate and, unasked, no bundle', async () => {
    const { status, headers, json, metrics, lines } = await answer(good);
    assert.equal(status, 200);
    assert.deepEqual(headers, { 'content-type': 'text/plain; charset=utf-8' });
    assert.deepEqual(Object.keys(json.result ?? {}), ['certificate']);
    assert.match(json.result?.certificate ?? '', /^-----BEGIN CERTIFICATE-----\n[^]*-----END CERTIFICATE-----\n$/);
    assert.equal(metrics.certificates, 1);
    assert.equal(
      metrics.format(),
      [
        '# HELP requests_total How many requests for each operation type and signer were succesfully processed.',
        '# TYPE requests_total counter',
        'requests_total{operation="sign",signer="intermediate2"} 1\n',
      ].join('\n'),
    );
    assert.deepEqual(lines, ['INFO signature: requester=::1, label=intermediate2, profile=']);
  });

  test('gives a bundle when asked', async () => {
    const { json } = await answer({ ...good, bundle: true });
    const { certificate = '', bundle } = json.result ?? {};
    const chain = parseCertificates(bundle?.bundle ?? '');
    const [root] = parseCertificates(bundle?.root ?? '');
    assert.equal(chain.length, 2);
    assert.equal(chain[0]?.pem, certificate);
    assert.equal(chain[1]?.pem, configuration.labels.get('intermediate2')?.authority.certificate.pem);
    assert.ok(root?.isSelfSigned);
  });

  test("ignores the wish for a bundle, and its type, in upstream's way", async () => {
    const upstream = { ...configuration, bundler: undefined };
    const { json } = await answer({ ...good, bundle: 'x' }, upstream);
    assert.deepEqual(Object.keys(json.result ?? {}), ['certificate']);
  });

  test('has issued when the bundle fails', async () => {
    const ed25519 = await createCsr({ algorithm: 'Ed25519' });
    const { status, json, metrics } = await answer({ ...good, certificate_request: ed25519, bundle: true });
    assert.equal(status, 500);
    assert.deepEqual(json.errors, [{ code: 1, message: 'error creating bundle' }]);
    assert.equal(metrics.certificates, 1);
  });

  test('hides why the signer refuses, and logs it', async () => {
    const { status, json, metrics, lines } = await answer({ ...good, certificate_request: 'hello' });
    assert.equal(status, 400);
    assert.deepEqual(json, {
      success: false,
      result: null,
      errors: [{ code: 1, message: 'bad request' }],
      messages: [],
    });
    assert.equal(metrics.certificates, 0);
    assert.deepEqual(lines, ['ERROR [HTTP 400] 1 - bad request (there is no PEM block)']);
  });

  test('answers nothing when its own certificate cannot be read', async () => {
    const extensions = [{ id: '2.5.29.17', critical: false, value: '3002' }];
    await assert.rejects(answer({ ...good, profile: 'extended', extensions }));
  });
});
