/**
 * What this process holds for one issuer: the watches of the Secrets and ConfigMaps that it names, a CFSSL client for
 * exactly this configuration, and the CA certificate it last saw. A changed spec or object makes a new client; the old
 * one is closed when its calls have ended.
 * Invariant: `readyFor()` gives an issuer only while its last check passed on the configuration it would sign with.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Issuer, IssuerStatus } from '../api/index.ts';
import { type CfsslClient, CfsslError, createCfsslClient, type ProbeAnswer } from '../cfssl/index.ts';
import type { NamedObjectWatches } from '../kubernetes/index.ts';
import { type Clock, errorFields, formatTime, type Logger } from '../platform/index.ts';
import { type Certificate, parseCertificates } from '../x509/index.ts';
import { buildConfiguration, type IssuerConfiguration, parseSpec, referencesOf } from './configuration.ts';
import { IssuerProblem, problemOf } from './issuer-problem.ts';
import type { IssuerId } from './issuer-reference.ts';
import type { IssuerWarning } from './reasons.ts';
import { ReferencedObjects } from './referenced-objects.ts';

/** An issuer that may sign now. */
export interface ReadyIssuer {
  readonly id: IssuerId;
  readonly configuration: IssuerConfiguration;
  readonly client: CfsslClient;
  /** The CA certificate that CFSSL signs with. */
  readonly signer: Certificate;
  /** The CA certificate that CFSSL signs with now; another one than `signer` has the issuer checked again. */
  readonly askForSigner: (signal: AbortSignal) => Promise<Certificate>;
}

export interface IssuerSessionDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly random: () => number;
  readonly watches: Pick<NamedObjectWatches, 'acquire'>;
}

/** The wall clock may drift so far against the monotonic one without having been set. */
const CLOCK_TOLERANCE_MS = 60_000;

/**
 * So long after a signing with the other key the keys are proved again: servers behind one address may differ while a key
 * is replaced, and must not have that done each time.
 */
const OTHER_KEY_PAUSE_MS = 1_000;

/** What is looked at on each check; a difference makes a new client. */
type Fingerprint = readonly unknown[];

export class IssuerSession {
  readonly #deps: IssuerSessionDeps;
  readonly #id: IssuerId;
  /** Where the issuer's Secrets and ConfigMaps lie. */
  readonly #namespace: string;
  /** Called when a watched object changed. */
  readonly #onChange: () => void;
  readonly #objects: ReferencedObjects;

  #fingerprint: Fingerprint = [];
  #ready: ReadyIssuer | undefined;
  #client: CfsslClient | undefined;
  #configuration: IssuerConfiguration | undefined;
  #signer: Certificate | undefined;
  #keyInUse: 'key' | 'key_next' | undefined;
  /** `cfssl serve` signs with its default profile where it does not know the one that is named. */
  #hidesUnknownProfiles = false;
  /** Some server ignores the validity that it is asked for. */
  #ignoresValidity = false;
  /** Warnings that were told about this configuration. */
  readonly #told = new Set<IssuerWarning>();
  /** Whether key, label and profile must be proved, not just the server's life. */
  #needsProbe = true;
  /** A verdict of `verify()` that no check has reported yet. */
  #verdict: IssuerProblem | undefined;
  /** Stays until the configuration, the CA or our clock changes: trying again would issue another wrong certificate. */
  #mismatch: { readonly problem: IssuerProblem; readonly clockOffsetMs: number } | undefined;
  #verifying: Promise<IssuerProblem | undefined> | undefined;
  #cancelOtherKey: (() => void) | undefined;
  readonly #closed = new AbortController();

  constructor(deps: IssuerSessionDeps, options: { id: IssuerId; namespace: string; onChange: () => void }) {
    this.#deps = deps;
    this.#id = options.id;
    this.#namespace = options.namespace;
    this.#onChange = options.onChange;
    this.#objects = new ReferencedObjects(deps.watches, options.onChange);
  }

  /** The issuer as of its last check, if that passed for this very spec. */
  readyFor(issuer: Issuer): ReadyIssuer | undefined {
    const [uid, generation] = this.#fingerprint;
    const isSame = uid === issuer.metadata.uid && generation === issuer.metadata.generation;
    return isSame ? this.#ready : undefined;
  }

  /** How often a ready issuer wants to be checked. */
  get healthCheckIntervalMs(): number | undefined {
    return this.#configuration?.healthCheckIntervalMs;
  }

  /**
   * Proves that the issuer can sign. Key, label and profile are proved when anything changed or failed since the last
   * time; else the CA's certificate is asked for, which any living CFSSL answers.
   * @throws IssuerProblem
   */
  async check(issuer: Issuer, signal: AbortSignal): Promise<ReadyIssuer> {
    try {
      return await this.#check(issuer, signal);
    } catch (error) {
      this.#needsProbe = true;
      signal.throwIfAborted();
      this.#ready = undefined;
      if (error instanceof IssuerProblem) throw error;
      if (error instanceof CfsslError) throw this.#describe(error);
      throw error;
    }
  }

  async #check(issuer: Issuer, signal: AbortSignal): Promise<ReadyIssuer> {
    const client = await this.#configure(issuer, signal);
    const verdict = this.#verdict;
    this.#verdict = undefined;
    if (verdict !== undefined) throw verdict;

    if (this.#needsProbe) {
      this.#needsProbe = false; // from here on a doubt is one about this proof
      const { server } = await this.#prove(client, signal);
      this.#hidesUnknownProfiles = server === 'serve';
      const ignoring =
        this.#configurationOf().maxDurationMs === undefined ? [] : await client.findIgnoringValidity({ signal });
      this.#ignoresValidity = ignoring.length > 0;
    }
    const signer = await this.#askForSigner(client, signal);
    if (signer.sha256Hex !== this.#signer?.sha256Hex) this.#mismatch = undefined;
    this.#signer = signer;
    if (signer.notAfterMs <= this.#deps.clock.now()) {
      const message = `The CA certificate "${signer.subjectText}" expired on ${formatTime(signer.notAfterMs)}; renew it`;
      throw new IssuerProblem('CAExpired', message);
    }
    if (this.#mismatch !== undefined && this.#wasClockSet(this.#mismatch.clockOffsetMs)) this.#mismatch = undefined;
    if (this.#mismatch !== undefined) throw this.#mismatch.problem;
    if (this.#ready?.client !== client || this.#ready.signer.sha256Hex !== signer.sha256Hex) {
      const askForSigner = async (abort: AbortSignal): Promise<Certificate> => {
        const now = await this.#askForSigner(client, abort);
        if (now.sha256Hex !== signer.sha256Hex) this.#onChange();
        return now;
      };
      this.#ready = { id: this.#id, configuration: this.#configurationOf(), client, signer, askForSigner };
    }
    return this.#ready;
  }

  /** Brings watches, configuration and client in line with the spec and the objects that it names. */
  async #configure(issuer: Issuer, signal: AbortSignal): Promise<CfsslClient> {
    const spec = parseSpec(issuer.spec);
    const references = referencesOf(spec, this.#namespace);
    await this.#objects.watch(references, signal);
    const configuration = buildConfiguration(spec, this.#namespace, (reference) => this.#objects.lookup(reference));
    const fingerprint = [
      issuer.metadata.uid,
      issuer.metadata.generation,
      ...references.map((at) => this.#objects.versionOf(at)),
    ];
    if (this.#client !== undefined && isDeepStrictEqual(fingerprint, this.#fingerprint)) return this.#client;

    // Calls under way on the old client may end; the new one need not wait for them.
    this.#dropClient().catch((error: unknown) => {
      this.#deps.log.warn({ issuer: this.#id, ...errorFields(error) }, 'Cannot close a CFSSL client');
    });
    this.#fingerprint = fingerprint;
    this.#configuration = configuration;
    const client: CfsslClient = createCfsslClient(
      {
        clock: this.#deps.clock,
        log: this.#deps.log,
        random: this.#deps.random,
        onOtherKey: () => {
          if (client === this.#client) this.#proveSoon();
        },
      },
      {
        endpoints: configuration.endpoints,
        label: configuration.label,
        profile: configuration.profile,
        keys: { current: configuration.key, next: configuration.nextKey },
        additionalData: configuration.additionalData,
        tls: {
          caPem: configuration.trustPem,
          clientCertPem: configuration.clientCertificate?.certPem,
          clientKeyPem: configuration.clientCertificate?.keyPem,
        },
        timeoutMs: configuration.timeoutMs,
      },
    );
    this.#client = client;
    return client;
  }

  /** Proves the key, the label and each profile that requests may be sent with. @throws CfsslError, IssuerProblem */
  async #prove(client: CfsslClient, signal: AbortSignal): Promise<ProbeAnswer> {
    const answer = await client.probe({ signal });
    this.#keyInUse = answer.keyInUse;
    const { caProfile } = this.#configurationOf();
    if (caProfile === undefined) return answer;
    try {
      await client.probe({ signal, profile: caProfile });
    } catch (error) {
      if (error instanceof CfsslError) throw problemOf(error, { ...this.#configurationOf(), caProfile });
      throw error;
    }
    return answer;
  }

  /** Tells which key is in use, once it is another. */
  #proveSoon(): void {
    this.#cancelOtherKey ??= this.#deps.clock.schedule(OTHER_KEY_PAUSE_MS, () => {
      this.#cancelOtherKey = undefined;
      this.#needsProbe = true;
      this.#onChange();
    });
  }

  async #askForSigner(client: CfsslClient, signal: AbortSignal): Promise<Certificate> {
    const { certificatePem } = await client.info({ signal });
    const [signer] = parseCertificates(certificatePem);
    if (signer === undefined) throw new IssuerProblem('NotCFSSL', 'CFSSL answers info without a certificate');
    return signer;
  }

  /**
   * Asks CFSSL whether the issuer itself is all right, after a signing failed. Many requests may ask at once: they
   * share one probe. Gives the issuer's problem, or undefined when the issuer is not at fault.
   */
  verify(): Promise<IssuerProblem | undefined> {
    this.#verifying ??= this.#verify().finally(() => {
      this.#verifying = undefined;
    });
    return this.#verifying;
  }

  async #verify(): Promise<IssuerProblem | undefined> {
    const client = this.#client;
    if (client === undefined) return undefined;
    const keyBefore = this.#keyInUse;
    try {
      await this.#prove(client, this.#closed.signal);
      if (this.#keyInUse !== keyBefore) this.#onChange(); // which the status has to tell
      return undefined;
    } catch (error) {
      // A client that was replaced meanwhile says nothing about its successor.
      if (client !== this.#client) return undefined;
      if (error instanceof IssuerProblem) return this.#condemn(error);
      if (error instanceof CfsslError) return this.#condemn(this.#describe(error));
      throw error;
    }
  }

  /** Takes the issuer out of service because of a certificate that is not what was asked for. */
  reportMismatch(message: string): IssuerProblem {
    const problem = new IssuerProblem('CertificateMismatch', message);
    this.#mismatch = { problem, clockOffsetMs: this.#clockOffsetMs() };
    return this.#condemn(problem);
  }

  /** By a wrong clock of ours, each certificate is one of another time: when it was set, it is worth another try. */
  #wasClockSet(clockOffsetMs: number): boolean {
    return Math.abs(this.#clockOffsetMs() - clockOffsetMs) > CLOCK_TOLERANCE_MS;
  }

  /** Changes only when the wall clock is set. */
  #clockOffsetMs(): number {
    const { clock } = this.#deps;
    return clock.now() - clock.monotonicMs();
  }

  #condemn(problem: IssuerProblem): IssuerProblem {
    this.#verdict = problem;
    this.#ready = undefined;
    this.#needsProbe = true;
    this.#onChange();
    return problem;
  }

  /** What the last check showed that keeps nobody from signing, and that people should know. */
  get warnings(): readonly IssuerWarning[] {
    const isProfileUnproven = this.#hidesUnknownProfiles && this.#configuration?.profile !== undefined;
    return [
      ...(isProfileUnproven ? ['ProfileNotProven' as const] : []),
      ...(this.#ignoresValidity ? ['DurationIgnored' as const] : []),
    ];
  }

  /** Whether this warning is new for the present configuration. */
  isNews(warning: IssuerWarning): boolean {
    if (this.#told.has(warning)) return false;
    this.#told.add(warning);
    return true;
  }

  /** What the status tells besides the condition. */
  describeStatus(): Omit<IssuerStatus, 'conditions'> {
    const signer = this.#signer;
    return {
      ...(this.#client === undefined
        ? {}
        : {
            endpoints: this.#client.endpointStates().map(({ url, reachable, lastError }) => ({
              url,
              ...(reachable === undefined ? {} : { reachable }),
              ...(lastError === undefined ? {} : { lastError }),
            })),
          }),
      ...(signer === undefined
        ? {}
        : {
            ca: {
              subject: signer.subjectText,
              sha256: signer.sha256Hex,
              notAfter: formatTime(signer.notAfterMs),
            },
          }),
      ...(this.#keyInUse === undefined ? {} : { keyInUse: this.#keyInUse }),
    };
  }

  async close(): Promise<void> {
    this.#closed.abort(new Error('The issuer is gone'));
    this.#objects.release();
    await this.#dropClient();
  }

  /** Forgets everything that was learned with the present client. */
  async #dropClient(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    this.#ready = undefined;
    this.#signer = undefined;
    this.#keyInUse = undefined;
    this.#verdict = undefined;
    this.#mismatch = undefined;
    this.#told.clear();
    this.#needsProbe = true;
    this.#cancelOtherKey?.();
    this.#cancelOtherKey = undefined;
    await client?.close();
  }

  #describe(error: CfsslError): IssuerProblem {
    return problemOf(error, this.#configurationOf());
  }

  #configurationOf(): IssuerConfiguration {
    if (this.#configuration === undefined) throw new Error('The issuer has no configuration yet');
    return this.#configuration;
  }
}
