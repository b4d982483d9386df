/**
 * `controller`: runs the issuer. The composition root: flags in, parts wired, run until SIGTERM or SIGINT.
 * On a signal it takes no more work, finishes what is in flight with its status writes, releases the lease and ends
 * with 0; what is not finished in time is cancelled. A second signal cancels at once.
 */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { Controllers } from '../issuer/index.ts';
import {
  type ClusterConfig,
  createKubernetesClient,
  isKubernetesError,
  LeaderElector,
  loadClusterConfig,
} from '../kubernetes/index.ts';
import {
  createLogger,
  errorFields,
  type HttpServer,
  type Logger,
  Registry,
  startHttpServer,
  systemClock,
} from '../platform/index.ts';
import { ConfigError } from './config-error.ts';
import { CONTROLLER_FLAGS, isOff, toDurationMs, toLogEncoding, toLogLevel, toNamespaces } from './controller-flags.ts';
import { type FlagValues, formatFlags, parseFlags } from './flags.ts';
import { type Health, healthRoutes, metricsRoutes } from './servers.ts';
import { installDefaultTrust } from './trust.ts';
import { VERSION } from './version.ts';

/** The Go program's lease, so that old and new never run side by side. */
const LEASE_NAME = '51059ce8.wikimedia.org';
/** How long a stop waits for what is in flight. */
const GRACE_MS = 20_000;

type Flags = FlagValues<typeof CONTROLLER_FLAGS>;

/** Runs until a signal; gives the exit status. @throws ConfigError for what the user has to mend */
export async function runController(words: readonly string[]): Promise<number> {
  const { values: flags, rest } = parseFlags(CONTROLLER_FLAGS, words);
  if (rest.length > 0) throw new ConfigError(`Unexpected argument "${rest[0]}"; --help lists all flags`);
  if (flags.version) {
    process.stdout.write(`${VERSION}\n`);
    return 0;
  }
  const log = createLogger({
    level: toLogLevel(flags['zap-log-level']),
    encoding: toLogEncoding(flags['zap-encoder']),
    write: (line) => process.stdout.write(line),
  });
  warnOfProxies(log);
  const config = await loadConfig(flags);
  const namespace = flags['cluster-resource-namespace'] || config.namespace;
  if (namespace === undefined) {
    throw new ConfigError(
      'Not running in a pod: tell where the Secrets of ClusterIssuers lie with --cluster-resource-namespace',
    );
  }
  await installDefaultTrust(process.env, log);
  return await run(flags, { config, namespace, log });
}

export function controllerHelp(): string {
  return formatFlags(CONTROLLER_FLAGS);
}

/** What Go's clients heed and ours do not must not be ignored in silence. */
function warnOfProxies(log: Logger): void {
  const variables = ['HTTPS_PROXY', 'HTTP_PROXY'].flatMap((name) => [name, name.toLowerCase()]);
  const set = variables.filter((name) => (process.env[name] ?? '') !== '');
  if (set.length > 0)
    log.warn({ variables: set }, 'Proxies are not used: the API server and CFSSL are reached directly');
}

async function loadConfig(flags: Flags): Promise<ClusterConfig> {
  try {
    return await loadClusterConfig({ env: process.env, kubeconfigPath: flags.kubeconfig || undefined });
  } catch (error) {
    if (isKubernetesError(error)) throw new ConfigError(error.message, { cause: error });
    throw error;
  }
}

interface Settings {
  readonly config: ClusterConfig;
  readonly namespace: string;
  readonly log: Logger;
}

async function run(flags: Flags, { config, namespace, log }: Settings): Promise<number> {
  const clock = systemClock;
  const registry = new Registry();
  const instance = `${hostname()}_${randomUUID()}`;
  log.info(
    { version: VERSION, pid: process.pid, apiServer: config.server, from: config.source, namespace },
    'Starting',
  );
  const namespaces = toNamespaces(flags.namespaces);
  if (namespaces !== undefined) {
    log.info({ namespaces }, 'Serving some namespaces only: no ClusterIssuers and no CertificateSigningRequests');
  }
  const client = createKubernetesClient({ clock, log, registry }, config, { userAgent: `cfssl-issuer/${VERSION}` });
  const elector = flags['enable-leader-election']
    ? new LeaderElector(
        { client, clock, log, random: Math.random, registry },
        {
          namespace: flags['leader-election-namespace'] || config.namespace || namespace,
          name: LEASE_NAME,
          identity: instance,
        },
      )
    : undefined;
  const controllers = new Controllers(
    {
      clock,
      log,
      random: Math.random,
      registry,
      client,
      assertMaySign: () => {
        if (elector?.isLeader() === false) throw new Error('Not the leader any more: this replica signs nothing');
      },
    },
    {
      clusterResourceNamespace: namespace,
      namespaces,
      signKubernetesRequests: !flags['disable-kubernetes-csr-controller'],
      requireApproval: !flags['disable-approved-check'],
      maxConcurrentRequests: flags['max-concurrent-reconciles'],
      maxRetryDurationMs: toDurationMs(flags['max-retry-duration']),
      instance,
    },
  );

  const { stop, abort, dispose } = listenForSignals(log);
  const servers = await startServers(flags, { log, registry, controllers, elector });
  const watching = new AbortController();
  const watched = controllers.watch(watching.signal);
  try {
    if (elector === undefined) await controllers.work(stop, abort);
    else {
      // Who has lost the lease takes no more work either: what it still does would keep this process from its end.
      const work = (lost: AbortSignal) =>
        controllers.work(AbortSignal.any([stop, lost]), AbortSignal.any([abort, lost]));
      await elector.run(stop, work);
    }
    log.info({}, 'Stopped');
    return 0;
  } catch (error) {
    log.error(errorFields(error), 'Stopped by an error');
    return 1;
  } finally {
    watching.abort(new Error('Stopped'));
    await watched;
    await Promise.all(servers.map((server) => server.close()));
    await client.close();
    dispose();
  }
}

interface Stop {
  /** Aborts on the first signal. */
  readonly stop: AbortSignal;
  /** Aborts when the time to finish is over, or on the second signal. */
  readonly abort: AbortSignal;
  readonly dispose: () => void;
}

function listenForSignals(log: Logger): Stop {
  const stop = new AbortController();
  const abort = new AbortController();
  let cancel = (): void => {};
  const onSignal = (name: NodeJS.Signals): void => {
    if (stop.signal.aborted) {
      abort.abort(new Error(`Second signal: ${name}`));
      return;
    }
    log.info({ signal: name, graceSeconds: GRACE_MS / 1000 }, 'Stopping: finishing what is in flight');
    cancel = systemClock.schedule(GRACE_MS, () => abort.abort(new Error('The time to finish is over')));
    stop.abort(new Error(`Stopped by ${name}`));
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  return {
    stop: stop.signal,
    abort: abort.signal,
    dispose: () => {
      cancel();
      process.off('SIGTERM', onSignal);
      process.off('SIGINT', onSignal);
    },
  };
}

async function startServers(
  flags: Flags,
  parts: {
    readonly log: Logger;
    readonly registry: Registry;
    readonly controllers: Controllers;
    readonly elector: LeaderElector | undefined;
  },
): Promise<readonly HttpServer[]> {
  const health: Health = {
    hasSynced: () => parts.controllers.hasSynced(),
    isOverdue: () => parts.elector?.isOverdue() === true,
  };
  const wanted = [
    { serves: 'health', bindAddress: flags['health-addr'], routes: healthRoutes(health) },
    { serves: 'metrics', bindAddress: flags['metrics-addr'], routes: metricsRoutes(parts.registry) },
  ].filter(({ bindAddress }) => !isOff(bindAddress));
  const servers: HttpServer[] = [];
  for (const { serves, ...options } of wanted) {
    const server = await startHttpServer(options).catch((cause: Error) => {
      throw new ConfigError(cause.message, { cause });
    });
    parts.log.info({ serves, ...server.address }, 'Listening');
    servers.push(server);
  }
  return servers;
}
