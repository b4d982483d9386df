/**
 * CFSSL's protocol as its servers really speak it: one table of calls, run against each server. Where the servers
 * differ, the table says so as data and why. What a client may rely on is what all of them do.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { startSimpleCfssl } from '../simple-cfssl/index.ts';
import { API_PREFIX, createCfsslClient, parseAuthKey, parseEndpoints } from '../src/cfssl/index.ts';
import { systemClock } from '../src/platform/index.ts';
import {
  type Certificate,
  checkIssued,
  describeName,
  isIssuedBy,
  parseCertificates,
  parseCsr,
} from '../src/x509/index.ts';
import { type Cfssl, startCfsslServe, startMultirootca } from '../tools/servers/index.ts';
import { authsign, callCfssl, info, type RawCall } from './support/cfssl-call.ts';
import { createCsr } from './support/csr.ts';
import { silentLog } from './support/silent-log.ts';

type ServerName = 'multirootca' | 'serve' | 'simple-cfssl' | 'simple-cfssl with bundle';

/** What the suite needs of a server. */
type Server = Pick<Cfssl, 'url' | 'caPem' | 'authKeys' | 'stop'>;

/** What an answer must be. `message` is the first error's, to the letter, or a pattern where it is Go's own text. */
interface Expected {
  readonly status: number;
  readonly code?: number;
  readonly message?: string | RegExp;
  /** What the certificate, or the rest of the result, must be. */
  readonly check?: (certificate: Certificate, result: Readonly<Record<string, unknown>>) => void;
  /** The whole body, for answers that are not CFSSL's JSON. */
  readonly text?: string | RegExp;
}

interface Case {
  readonly name: string;
  readonly call: (server: Server, csr: Record<CsrName, string>) => RawCall;
  /** Of all servers, or of each; a server that is not named answers as multirootca: simple-cfssl always does. */
  readonly expected:
    | Expected
    | ({ readonly multirootca: Expected; readonly why: string } & Partial<Record<ServerName, Expected>>);
}

const CSRS = {
  good: { commonName: 'a.example', dnsNames: ['a.example', 'b.example'] },
  allowed: { dnsNames: ['web.allowed.example'] },
  ca: { dnsNames: ['ca.example'], isCa: true },
} as const;
type CsrName = keyof typeof CSRS;

const OK: Expected = { status: 200 };
const BAD_REQUEST: Expected = { status: 400, code: 1, message: 'bad request' };
const HIDES = 'multirootca tells no reason for what goes wrong behind the token; serve gives the code of CFSSL';
const ONE_LABEL = 'serve has one signer and does not look at the label';
const FALLS_BACK = 'serve signs with its default profile when it does not know the one named';
const OWN_CODES = "multirootca's errors all have code 1, those of serve repeat the HTTP status";

function both(status: number, message: string | RegExp): Case['expected'] {
  return {
    multirootca: { status, code: 1, message },
    serve: { status, code: status, message },
    why: OWN_CODES,
  };
}

const sign = (key: string, certificate_request: string, more: object = {}): RawCall =>
  authsign(key, { certificate_request, label: 'intermediate1', profile: 'server', ...more });

const cases: readonly Case[] = [
  { name: 'signs a good request', call: ({ authKeys }, { good }) => sign(authKeys.server, good), expected: OK },
  {
    name: 'signs with the default profile when none is named',
    call: ({ authKeys }, { good }) => authsign(authKeys.server, { certificate_request: good, label: 'intermediate1' }),
    expected: OK,
  },
  {
    name: 'reads keys of JSON whatever their case',
    call: ({ authKeys }, { good }) =>
      authsign(authKeys.server, { CERTIFICATE_REQUEST: good, Label: 'intermediate1', PROFILE: 'server' }),
    expected: OK,
  },
  {
    name: 'ignores what it does not know',
    call: ({ authKeys }, { good }) => sign(authKeys.server, good, { expiry: '1h', nonsense: [1, { a: null }] }),
    expected: OK,
  },
  {
    name: 'issues all the same when asked for a bundle that it cannot make',
    call: ({ authKeys }, { good }) => sign(authKeys.server, good, { bundle: true }),
    expected: OK,
  },
  {
    name: 'obeys NotBefore and NotAfter',
    call: ({ authKeys }, { good }) =>
      sign(authKeys.server, good, { NotBefore: '2026-01-01T00:00:00Z', NotAfter: '2026-01-01T01:00:00Z' }),
    expected: {
      multirootca: {
        status: 200,
        check: ({ notBeforeMs, notAfterMs }) => {
          assert.deepEqual([notBeforeMs, notAfterMs], [Date.UTC(2026, 0, 1), Date.UTC(2026, 0, 1, 1)]);
        },
      },
      serve: { status: 200, check: ({ notAfterMs }) => assert.ok(notAfterMs > Date.now()) },
      why: 'serve has no such fields',
    },
  },
  {
    name: 'takes its names from hosts, if there is such a list',
    call: ({ authKeys }, { good }) => sign(authKeys.server, good, { hosts: ['c.example', '192.0.2.1', 'a@b.example'] }),
    expected: {
      status: 200,
      check: ({ names }) => {
        assert.deepEqual(names.map(describeName).sort(), ['DNS:c.example', 'IP:192.0.2.1', 'email:a@b.example']);
      },
    },
  },
  {
    name: 'leaves out all names when hosts is empty',
    call: ({ authKeys }, { good }) => sign(authKeys.server, good, { hosts: [] }),
    expected: { status: 200, check: ({ names }) => assert.deepEqual(names, []) },
  },
  {
    name: 'backdates by five minutes, to the minute, and counts the profile from there',
    call: ({ authKeys }, { good }) => sign(authKeys.server, good, { profile: 'server-short' }),
    expected: {
      status: 200,
      check: ({ notBeforeMs, notAfterMs }) => {
        assert.equal(notAfterMs - notBeforeMs, 600_000);
        assert.equal(notBeforeMs % 60_000, 0);
        assert.ok(Math.abs(Date.now() - notBeforeMs - 300_000) <= 60_000);
      },
    },
  },
  {
    name: "gives a certificate the profile's usages and no CA",
    call: ({ authKeys }, { good }) => sign(authKeys.client, good, { profile: 'client' }),
    expected: {
      status: 200,
      check: ({ isCa, keyUsages, extendedKeyUsages }) => {
        assert.deepEqual([isCa, keyUsages, extendedKeyUsages], [false, ['digital signature'], ['client auth']]);
      },
    },
  },
  {
    name: 'refuses an extension that the profile does not allow',
    call: ({ authKeys }, { good }) =>
      sign(authKeys.server, good, { extensions: [{ id: '1.2.3.4', critical: false, value: '0500' }] }),
    expected: { multirootca: BAD_REQUEST, serve: OK, why: 'serve has no such field' },
  },
  {
    name: 'refuses another key',
    call: (_, { good }) => sign('00112233', good),
    expected: both(400, 'invalid token'),
  },
  {
    name: "refuses the key of another profile's",
    call: ({ authKeys }, { good }) => sign(authKeys.client, good),
    expected: both(400, 'invalid token'),
  },
  {
    name: 'does not know another label',
    call: ({ authKeys }, { good }) => sign(authKeys.server, good, { label: 'nobody' }),
    expected: { multirootca: BAD_REQUEST, serve: OK, why: ONE_LABEL },
  },
  {
    name: 'does not know an empty label',
    call: ({ authKeys }, { good }) => sign(authKeys.server, good, { label: '' }),
    expected: { multirootca: BAD_REQUEST, serve: OK, why: ONE_LABEL },
  },
  {
    name: 'does not know another profile',
    call: ({ authKeys }, { good }) => sign(authKeys.server, good, { profile: 'nobody' }),
    expected: { multirootca: { status: 400, code: 1, message: 'invalid profile' }, serve: OK, why: FALLS_BACK },
  },
  {
    name: 'answers the probe: label, profile and token are right, the CSR is empty',
    call: ({ authKeys }) => sign(authKeys.server, ''),
    expected: {
      multirootca: { status: 400, code: 1, message: 'invalid request' },
      serve: { status: 400, code: 400, message: "missing parameter 'certificate_request'" },
      why: OWN_CODES,
    },
  },
  {
    name: 'answers a probe with a wrong key before it looks at the CSR',
    call: () => sign('00112233', ''),
    expected: both(400, 'invalid token'),
  },
  {
    name: 'refuses what is no PEM',
    call: ({ authKeys }) => sign(authKeys.server, 'not a CSR'),
    expected: {
      multirootca: BAD_REQUEST,
      serve: { status: 400, code: 9002, message: /^CSR Decode failed|^./ },
      why: HIDES,
    },
  },
  {
    name: 'refuses PEM without a CSR in it',
    call: ({ authKeys }) =>
      sign(authKeys.server, '-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n'),
    expected: { multirootca: BAD_REQUEST, serve: { status: 400, code: 9003, message: /./ }, why: HIDES },
  },
  {
    name: 'refuses a name that is not on the whitelist',
    call: ({ authKeys }, { good }) => sign(authKeys.server, good, { profile: 'whitelist' }),
    expected: {
      multirootca: BAD_REQUEST,
      serve: { status: 400, code: 5500, message: 'Request does not match policy whitelist' },
      why: HIDES,
    },
  },
  {
    name: 'signs a name that is on the whitelist',
    call: ({ authKeys }, { allowed }) => sign(authKeys.server, allowed, { profile: 'whitelist' }),
    expected: OK,
  },
  {
    name: 'refuses a CA where the profile makes none',
    call: ({ authKeys }, { ca }) => sign(authKeys.server, ca),
    expected: {
      multirootca: BAD_REQUEST,
      serve: { status: 400, code: 5300, message: 'Policy violation request' },
      why: HIDES,
    },
  },
  {
    name: 'refuses a NotAfter that is no time, before it looks at the token',
    call: (_, { good }) => sign('00112233', good, { NotAfter: 'x' }),
    expected: {
      multirootca: { status: 400, code: 1, message: /^parsing time "\\?"?x/ },
      serve: { status: 400, code: 400, message: 'invalid token' },
      why: 'serve has no such field',
    },
  },
  {
    name: 'wants POST for authsign',
    call: () => ({ path: `${API_PREFIX}authsign`, method: 'GET' }),
    expected: {
      multirootca: { status: 405, code: 1, message: 'only POST is permitted' },
      serve: { status: 405, code: 405, message: 'Method is not allowed:"GET"' },
      why: OWN_CODES,
    },
  },
  {
    name: 'cannot read an empty body',
    call: () => ({ path: `${API_PREFIX}authsign`, body: '' }),
    expected: both(400, 'unexpected end of JSON input'),
  },
  {
    name: 'cannot read a request that is no base64',
    call: () => ({ path: `${API_PREFIX}authsign`, body: '{"token":"AAAA","request":"plain text"}' }),
    expected: both(400, /illegal base64 data at input byte 5$/),
  },
  {
    name: 'cannot read a body with something behind the JSON',
    call: () => ({ path: `${API_PREFIX}authsign`, body: '{"token":"AAAA","request":"AAAA"} x' }),
    expected: both(400, /^invalid character 'x' after top-level value$/),
  },
  {
    name: 'cannot read an inner request of another type, before it looks at the token',
    call: () => authsign('00112233', '{"certificate_request":1}'),
    expected: {
      multirootca: { status: 400, code: 1, message: /^json: cannot unmarshal number into Go struct field/ },
      serve: { status: 400, code: 400, message: 'Unable to parse authenticated sign request' },
      why: HIDES,
    },
  },
  {
    name: 'tells about its signer',
    call: () => info({ label: 'intermediate1', profile: 'server-short' }),
    expected: {
      status: 200,
      check: ({ subjectText, isCa }, { usages, expiry }) => {
        assert.deepEqual([subjectText, isCa, expiry], ['CN=Test Intermediate 1', true, '600s']);
        assert.deepEqual(usages, ['digital signature', 'key encipherment', 'server auth', 'client auth']);
      },
    },
  },
  {
    name: 'tells about its signer also for a profile that it does not know',
    call: () => info({ label: 'intermediate1', profile: 'nobody' }),
    expected: OK,
  },
  {
    name: 'knows nothing about another label',
    call: () => info({ label: 'nobody' }),
    expected: { multirootca: { status: 400, code: 400, message: 'bad label' }, serve: OK, why: ONE_LABEL },
  },
  {
    name: 'wants POST for info',
    call: () => ({ path: `${API_PREFIX}info`, method: 'GET' }),
    expected: { status: 405, code: 405, message: 'Method is not allowed:"GET"' },
  },
  {
    name: 'has no authsign behind a slash',
    call: ({ authKeys }, { good }) => ({ ...sign(authKeys.server, good), path: `${API_PREFIX}authsign/` }),
    expected: { status: 404, text: '404 page not found\n' },
  },
  {
    name: 'redirects a path with two slashes',
    call: ({ authKeys }, { good }) => ({ ...sign(authKeys.server, good), path: `/${API_PREFIX}authsign` }),
    expected: { status: 307, text: '' },
  },
];

const starts: Readonly<Record<ServerName, () => Promise<Server>>> = {
  multirootca: startMultirootca,
  serve: startCfsslServe,
  'simple-cfssl': () => startSimply({ bundle: false }),
  'simple-cfssl with bundle': () => startSimply({ bundle: true }),
};

/** simple-cfssl on the very files of a real multirootca. */
async function startSimply({ bundle }: { readonly bundle: boolean }): Promise<Server> {
  const real = await startMultirootca();
  const { folder, caPem, authKeys } = real;
  const simple = await startSimpleCfssl({
    now: () => Date.now(),
    rootsFile: join(folder, 'roots.conf'),
    tls: { certificatePath: join(folder, 'tls.pem'), keyPath: join(folder, 'tls-key.pem') },
    bundle,
  });
  return {
    url: simple.url,
    caPem,
    authKeys,
    stop: async () => {
      await simple.stop();
      await real.stop();
    },
  };
}

for (const name of Object.keys(starts) as ServerName[]) {
  describe(`the protocol of ${name}`, () => {
    let server: Server;
    let csrs: Record<CsrName, string>;
    before(async () => {
      server = await starts[name]();
      const made = Object.entries(CSRS).map(async ([csr, options]) => [csr, await createCsr(options)] as const);
      csrs = Object.fromEntries(await Promise.all(made)) as Record<CsrName, string>;
    });
    after(() => server.stop());

    for (const { name: what, call, expected } of cases) {
      test(what, async () => {
        const wanted: Expected = 'why' in expected ? (expected[name] ?? expected.multirootca) : expected;
        const answer = await callCfssl(server, call(server, csrs));
        assert.equal(answer.status, wanted.status, answer.body);
        if (wanted.text !== undefined) {
          assertMatches(answer.body, wanted.text);
          return;
        }
        assert.ok(answer.body.endsWith('}\n'), 'the envelope ends with a newline');
        const { success, result, errors, messages } = JSON.parse(answer.body) as Record<string, unknown>;
        assert.ok(Array.isArray(messages));
        if (wanted.status === 200) {
          assert.equal(success, true);
          const [certificate] = parseCertificates((result as { certificate: string }).certificate);
          assert.ok(certificate !== undefined);
          wanted.check?.(certificate, result as Record<string, unknown>);
          return;
        }
        assert.match(answer.contentType, /^text\/plain; charset=utf-8/);
        assert.deepEqual({ success, result, messages }, { success: false, result: null, messages: [] });
        const [error, ...others] = errors as { code: number; message: string }[];
        assert.deepEqual(others, []);
        assert.equal(error?.code, wanted.code);
        assertMatches(error?.message ?? '', wanted.message ?? '');
      });
    }

    test('bundle: true is answered with a bundle by those that can, and with the certificate by all', async () => {
      const { body } = await callCfssl(server, sign(server.authKeys.server, csrs.good, { bundle: true }));
      const { result } = JSON.parse(body) as {
        result: { certificate: string; bundle?: { bundle: string; root: string } };
      };
      assert.equal(parseCertificates(result.certificate).length, 1);
      assert.equal(result.bundle !== undefined, name === 'simple-cfssl with bundle');
      if (result.bundle === undefined) return;
      const [leaf, intermediate, ...others] = parseCertificates(result.bundle.bundle);
      assert.deepEqual([leaf?.pem, others], [parseCertificates(result.certificate)[0]?.pem, []]);
      const [root] = parseCertificates(result.bundle.root);
      assert.ok(intermediate !== undefined && root !== undefined && leaf !== undefined);
      assert.deepEqual([isIssuedBy(leaf, intermediate), isIssuedBy(intermediate, root)], [true, true]);
    });

    test('through our client: what is signed is what was asked for', async () => {
      const deps = { clock: systemClock, log: silentLog, random: () => 0.5 };
      const client = createCfsslClient(deps, {
        endpoints: parseEndpoints(server.url),
        label: 'intermediate1',
        profile: 'server-short',
        keys: { current: parseAuthKey(server.authKeys.server) },
        tls: { caPem: server.caPem },
        timeoutMs: 10_000,
      });
      const { signal } = new AbortController();
      try {
        await client.probe({ signal });
        const { certificatePem: signerPem } = await client.info({ signal });
        const answer = await client.sign({ csrPem: csrs.good }, { signal });
        const [certificate] = parseCertificates(answer.certificatePem);
        assert.ok(certificate !== undefined);
        assert.deepEqual(certificate.names.map(describeName), ['DNS:a.example', 'DNS:b.example']);
        assert.equal(certificate.notAfterMs - certificate.notBeforeMs, 600_000);
        const [signer] = parseCertificates(signerPem);
        const chain = signer === undefined ? [] : [signer];
        const { errors } = checkIssued({ csr: parseCsr(csrs.good), certificate, chain, nowMs: Date.now() });
        assert.deepEqual(errors, []);
      } finally {
        await client.close();
      }
    });
  });
}

function assertMatches(text: string, wanted: string | RegExp): void {
  if (typeof wanted === 'string') assert.equal(text, wanted);
  else assert.match(text, wanted);
}
