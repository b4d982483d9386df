import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type SimpleCfssl, startSimpleCfssl } from './simple-cfssl.ts';
import { authenticate, createCsr, NOW_MS } from './testing/test-support.ts';

const now = () => NOW_MS;

interface Answer {
  readonly status: number | undefined;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

function ask(server: SimpleCfssl, method: string, path: string, body?: string | Buffer): Promise<Answer> {
  const { url, caPem } = server;
  const send = url.startsWith('https:') ? requestHttps : requestHttp;
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url);
    const sent = send({ hostname, port, method, path, ca: caPem, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (text += chunk));
      response.once('end', () => resolve({ status: response.statusCode, headers: response.headers, body: text }));
    });
    sent.once('error', reject);
    sent.end(body);
  });
}

describe('startSimpleCfssl', () => {
  let server: SimpleCfssl;
  before(async () => {
    server = await startSimpleCfssl({ now });
  });
  after(() => server.stop());

  test('makes a CA and speaks TLS with it', async () => {
    assert.deepEqual(server.labels, ['intermediate1', 'intermediate2']);
    assert.deepEqual(Object.keys(server.authKeys), ['server', 'client']);
    assert.match(server.url, /^https:\/\/127\.0\.0\.1:\d+$/);
    assert.equal(server.caPem, server.rootPem);
    const answer = await ask(
      server,
      'POST',
      '/api/v1/cfssl/info',
      '{"label":"intermediate1","profile":"server-short"}',
    );
    assert.equal(answer.status, 200);
    assert.equal(answer.headers['content-type'], 'application/json');
    const result = {
      certificate: server.intermediatePems['intermediate1']?.trim(),
      usages: ['digital signature', 'key encipherment', 'server auth', 'client auth'],
      expiry: '10m',
    };
    assert.equal(answer.body, `${JSON.stringify({ success: true, result, errors: [], messages: [] })}\n`);
  });

  test('issues with its keys, counts, and answers a bundle', async () => {
    const request = { certificate_request: await createCsr(), label: 'intermediate1', profile: 'client', bundle: true };
    const body = authenticate(request, server.authKeys['client']);
    const { status, headers, body: text } = await ask(server, 'POST', '/api/v1/cfssl/authsign', body);
    assert.equal(status, 200);
    assert.equal(headers['content-type'], 'text/plain; charset=utf-8');
    const { result } = JSON.parse(text) as { result: { bundle: { root: string } } };
    assert.equal(`${result.bundle.root}\n`, server.rootPem);
    assert.equal(server.certificatesIssued(), 1);
    const metrics = await ask(server, 'GET', '/metrics');
    assert.match(metrics.body, /^requests_total\{operation="sign",signer="intermediate1"\} 1$/m);
  });

  const info = (status: number, message: string) =>
    `{"success":false,"result":null,"errors":[{"code":${status},"message":${JSON.stringify(message)}}],"messages":[]}\n`;
  const cases: readonly (readonly [
    method: string,
    path: string,
    status: number,
    body: string,
    headers?: Record<string, string>,
  ])[] = [
    ['POST', '/api/v1/cfssl/sign', 404, '404 page not found\n', { 'x-content-type-options': 'nosniff' }],
    ['POST', '/api/v1/cfssl/authsign/', 404, '404 page not found\n', { 'content-type': 'text/plain; charset=utf-8' }],
    ['POST', '//api/v1//cfssl/info?x=1', 307, '', { location: '/api/v1/cfssl/info?x=1' }],
    [
      'GET',
      '/api/../metrics',
      307,
      '<a href="/metrics">Temporary Redirect</a>.\n\n',
      { 'content-type': 'text/html; charset=utf-8' },
    ],
    [
      'GET',
      '/api/v1/cfssl/info',
      405,
      info(405, 'Method is not allowed:"GET"'),
      { 'x-content-type-options': 'nosniff' },
    ],
    [
      'POST',
      '/api/v1/cfssl/info',
      400,
      info(400, 'unexpected end of JSON input'),
      { 'content-type': 'text/plain; charset=utf-8' },
    ],
    ['POST', '/api/v1/cfssl/inf%6f', 400, info(400, 'unexpected end of JSON input')],
    [
      'PUT',
      '/api/v1/cfssl/authsign',
      405,
      info(1, 'only POST is permitted'),
      { 'content-type': 'text/plain; charset=utf-8' },
    ],
    ['HEAD', '/api/v1/cfssl/authsign', 405, ''],
  ];
  for (const [method, path, status, body, headers = {}] of cases) {
    test(`${method} ${path}`, async () => {
      const answer = await ask(server, method, path);
      assert.equal(answer.status, status);
      assert.equal(answer.body, body);
      for (const [name, value] of Object.entries(headers)) assert.equal(answer.headers[name], value);
    });
  }

  test('describes the default profile for one that is not there', async () => {
    const answer = await ask(server, 'POST', '/api/v1/cfssl/info', '{"label":"intermediate2","profile":"x"}');
    assert.match(answer.body, /"expiry":"8760h"/);
  });

  test('knows no label without one, and says so', async () => {
    const answer = await ask(server, 'POST', '/api/v1/cfssl/info', '{}');
    assert.equal(answer.body, info(400, 'bad label'));
  });

  test('tells a client that speaks plain HTTP', async () => {
    const text = await new Promise<string>((resolve, reject) => {
      let received = '';
      const socket = connect(Number(new URL(server.url).port), '127.0.0.1', () =>
        socket.write('GET / HTTP/1.1\r\n\r\n'),
      );
      socket.on('data', (chunk) => (received += String(chunk)));
      socket.once('error', reject);
      socket.once('close', () => resolve(received));
    });
    assert.equal(text, 'HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n');
  });
});

describe('startSimpleCfssl with files', () => {
  const folder = join(mkdtempSync(join(tmpdir(), 'simple-cfssl-')), 'kept');
  after(() => rmSync(join(folder, '..'), { recursive: true }));

  test('keeps its CA in a folder, for its eyes only, and finds it again', async () => {
    const first = await startSimpleCfssl({ now, folder });
    await first.stop();
    assert.equal(statSync(join(folder, 'intermediate1-key.pem')).mode & 0o777, 0o600);
    const second = await startSimpleCfssl({ now, folder });
    await second.stop();
    assert.equal(second.rootPem, first.rootPem);
    assert.deepEqual(second.authKeys, first.authKeys);
  });

  test('takes a roots file: plain HTTP, a default label, no bundle when it is turned off', async () => {
    const rootsFile = join(folder, 'multiroot.conf');
    const server = await startSimpleCfssl({
      now,
      rootsFile,
      tls: 'none',
      defaultLabel: 'intermediate2',
      bundle: false,
    });
    try {
      const body = authenticate({ certificate_request: await createCsr(), bundle: true }, server.authKeys['server']);
      const answer = await ask(server, 'POST', '/api/v1/cfssl/authsign', body);
      assert.match(
        answer.body,
        /^\{"success":true,"result":\{"certificate":"[^"]*"\},"errors":\[\],"messages":\[\]\}\n$/,
      );
    } finally {
      await server.stop();
    }
  });

  test('serves with certificates that are handed in', async () => {
    const tls = { certificatePath: join(folder, 'tls.pem'), keyPath: join(folder, 'tls-key.pem') };
    const server = await startSimpleCfssl({ now, rootsFile: join(folder, 'multiroot.conf'), tls });
    const caPem = readFileSync(join(folder, 'ca.pem'), 'utf8');
    try {
      assert.equal((await ask({ ...server, caPem }, 'GET', '/')).status, 404);
    } finally {
      await server.stop();
    }
  });

  test('names the label whose configuration cannot work', async () => {
    const refuse = async (settings: string, message: RegExp): Promise<void> => {
      const rootsFile = join(folder, 'bad.conf');
      writeFileSync(rootsFile, `[ bad ]\n${settings}\n`);
      await assert.rejects(startSimpleCfssl({ now, rootsFile }), { name: 'ConfigurationError', message });
    };
    const file = (name: string): string => join(folder, name);
    const certificate = `certificate = ${file('ca.pem')}`;
    const key = `private = file://${file('intermediate1-key.pem')}`;
    await refuse('x = 1', /^label "bad": there is no "private"$/);
    await refuse(`${certificate}\nprivate = pkcs11:x`, /^label "bad": unsupported private key scheme/);
    await refuse(`${key}\ncertificate = ${file('config.json')}`, /^label "bad": Cannot parse certificate/);
    await refuse(`${certificate}\nprivate = file://${file('config.json')}`, /the private key is neither PEM nor DER/);
    await refuse(`${certificate}\n${key}`, /there is no "config"$/);
    await refuse(`${certificate}\n${key}\nconfig = ${file('config.json')}\nnets = 10.0.0.1`, /"10\.0\.0\.1" in "nets"/);
    await refuse(
      `${certificate}\n${key}\nconfig = ${file('config.json')}\nnets = ::/0,10.0.0.0/33`,
      /"10\.0\.0\.0\/33" in/,
    );
    const two = file('two.pem');
    writeFileSync(two, readFileSync(file('ca.pem'), 'utf8').repeat(2));
    await refuse(`${key}\ncertificate = ${two}`, /the PEM file should contain only one object$/);
  });
});
