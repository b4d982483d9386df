/**
 * The program as a process of its own, a real cluster and a real CFSSL behind a proxy, for tests of what it withstands.
 * After each test it must live, have logged nothing that harms a terminal, and have only issuers that are wanted.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { type Condition, ISSUERS } from '../../src/api/index.ts';
import { type At, type Cluster, type Manifest, type ObjectWithConditions, resourceOf } from '../../tools/cluster.ts';
import { type IssuerProcess, startIssuer } from '../../tools/issuer-process.ts';
import type { Cfssl } from '../../tools/servers/index.ts';
import { type CfsslProxy, startCfsslProxy } from './cfssl-proxy.ts';
import {
  createNamespace,
  createRequest,
  getServers,
  issuerManifests,
  judgeRequest,
  readyOf,
  type Servers,
} from './environment.ts';

/** More is no message any more. */
const MAX_MESSAGE = 2_000;

/** What stays out of conditions and events: everything that a terminal may take for an order, or that is unseen. */
export const UNPRINTABLE = /\p{C}|[\u2028\u2029]/u;

export class Stage implements AsyncDisposable {
  readonly servers: Servers;
  readonly proxy: CfsslProxy;
  readonly program: IssuerProcess;
  readonly #issuers: At[] = [];

  private constructor(servers: Servers, proxy: CfsslProxy, program: IssuerProcess) {
    this.servers = servers;
    this.proxy = proxy;
    this.program = program;
  }

  static async start(): Promise<Stage> {
    const servers = await getServers('withstand');
    const proxy = await startCfsslProxy(servers.cfssl);
    return new Stage(servers, proxy, await startIssuer({ access: servers.controlPlane }));
  }

  get cluster(): Cluster {
    return this.servers.cluster;
  }

  get cfssl(): Cfssl {
    return this.servers.cfssl;
  }

  /** Creates an issuer that goes with its test, since one that is not ready is checked for ever. */
  async create(issuer: Manifest): Promise<At> {
    await this.cluster.create(issuer);
    const { namespace = '', name } = issuer.metadata;
    const at = { resource: resourceOf(issuer), namespace, name };
    this.#issuers.push(at);
    return at;
  }

  /** A Secret and an Issuer `ca` whose CFSSL is the proxy, in that namespace; by default in a new one, which is given. */
  async createIssuer(spec: object = {}, given?: string): Promise<string> {
    const namespace = given ?? (await createNamespace(this.cluster, 'withstand'));
    const manifests = issuerManifests(this.cfssl, { name: 'ca', namespace, spec: { url: this.proxy.url, ...spec } });
    await this.cluster.create(manifests.secret);
    await this.create(manifests.issuer);
    return namespace;
  }

  /** The same, once it is Ready. */
  async createReadyIssuer(spec: object = {}): Promise<string> {
    const namespace = await this.createIssuer(spec);
    await this.waitForIssuer(namespace, 'Checked');
    return namespace;
  }

  async getIssuer(namespace: string): Promise<ObjectWithConditions> {
    return await this.cluster.client.get<ObjectWithConditions>(ISSUERS, { namespace, name: 'ca' });
  }

  /** Waits until the Issuer `ca` has that reason. */
  async waitForIssuer(namespace: string, reason: string, withinMs = 30_000): Promise<ObjectWithConditions> {
    const at = { resource: ISSUERS, namespace, name: 'ca' };
    const hasReason = (found: ObjectWithConditions): boolean => readyOf(found)?.reason === reason;
    return await this.cluster.waitFor<ObjectWithConditions>(at, hasReason, { withinMs });
  }

  async waitForProblem(at: At, reason: string): Promise<Condition> {
    const hasReason = (found: ObjectWithConditions): boolean => readyOf(found)?.reason === reason;
    return assertTellable(readyOf(await this.cluster.waitFor<ObjectWithConditions>(at, hasReason)));
  }

  /** An approved request for the Issuer `ca`. */
  async createApproved(namespace: string, name: string): Promise<void> {
    await createRequest(this.cluster, { namespace, name, issuerRef: { kind: 'Issuer', name: 'ca' } });
    await judgeRequest(this.cluster, { namespace, name }, 'Approved');
  }

  /** What has to be so after each test. */
  async assertWell(): Promise<void> {
    this.proxy.fault = undefined;
    for (const { resource, ...at } of this.#issuers.splice(0)) await this.cluster.client.delete(resource, at);
    const log = readFileSync(this.program.logFile, 'utf8');
    assert.doesNotMatch(log.replaceAll('\n', ''), /\p{Cc}/u, 'the log is free of control characters');
    assert.doesNotMatch(log, /Unhandled|uncaught/i);
    assert.equal((await fetch(`${this.program.healthUrl}/readyz`)).status, 200, 'the program lives');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.proxy.close();
    await this.program[Symbol.asyncDispose]();
  }
}

/** A condition that people and terminals can stand. */
export function assertTellable(condition: Condition | undefined): Condition {
  const { message = '', reason = '' } = condition ?? {};
  assert.ok(message.length > 0 && message.length <= MAX_MESSAGE, `${message.length} characters`);
  assert.doesNotMatch(message, UNPRINTABLE);
  assert.match(reason, /^[A-Z][A-Za-z]+$/);
  assert.ok(condition !== undefined);
  return condition;
}
