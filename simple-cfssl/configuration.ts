/** What the server signs with: multirootca's roots file and the JSON configurations that it names, loaded and checked. */
import { BlockList, isIP } from 'node:net';
import { join } from 'node:path';
import { type Certificate, parseCertificates, X509Error } from '../src/x509/index.ts';
import { type Authority, createAuthority } from './authority.ts';
import type { Bundler } from './bundle.ts';
import { ConfigurationError } from './configuration-error.ts';
import { type KeySources, parseSigningPolicy, type SigningPolicy } from './profile.ts';
import { parseRootsFile } from './roots-file.ts';

export interface Label {
  readonly authority: Authority;
  readonly policy: SigningPolicy;
  /** Who may ask for certificates; undefined for everybody. */
  readonly peers: BlockList | undefined;
  /** What chains end with, of Wikimedia's setting `ca`. */
  readonly root: Certificate | undefined;
}

export interface Configuration {
  readonly labels: ReadonlyMap<string, Label>;
  /** Of requests that name none; "" for no such label. */
  readonly defaultLabel: string;
  /** Answers `bundle: true` as the Wikimedia fork; undefined for upstream's way, which is to ignore it. */
  readonly bundler: Bundler | undefined;
}

export interface ConfigurationOptions {
  readonly defaultLabel: string;
  /** Whether chains are answered when a label has a `ca`. */
  readonly bundle: boolean;
}

/** @throws ConfigurationError */
export function loadConfiguration(
  rootsFile: string,
  sources: KeySources,
  { defaultLabel, bundle }: ConfigurationOptions,
): Configuration {
  const sections = parseRootsFile(sources.readFile(rootsFile).toString('utf8'));
  const labels = new Map(Array.from(sections, ([name, settings]) => [name, loadLabel(name, settings, sources)]));
  const roots = Array.from(labels.values(), ({ root }) => root).filter((root) => root !== undefined);
  const intermediates = Array.from(labels.values(), ({ authority }) => authority.certificate);
  const bundler = bundle && roots.length > 0 ? { intermediates, roots } : undefined;
  return { labels, defaultLabel, bundler };
}

function loadLabel(name: string, settings: ReadonlyMap<string, string>, sources: KeySources): Label {
  const required = (key: string): string => {
    const value = settings.get(key);
    if (value === undefined) throw new ConfigurationError(`there is no "${key}"`);
    return value;
  };
  try {
    const keyPath = parseKeySpec(required('private'));
    const certificatePem = sources.readFile(required('certificate')).toString('utf8');
    const nets = settings.get('nets') ?? '';
    const ca = settings.get('ca');
    return {
      authority: createAuthority(certificatePem, sources.readFile(keyPath)),
      policy: parseSigningPolicy(sources.readFile(required('config')), sources),
      peers: nets === '' ? undefined : parseNets(nets),
      root: ca === undefined ? undefined : parseCertificates(sources.readFile(ca).toString('utf8'))[0],
    };
  } catch (error) {
    if (!(error instanceof ConfigurationError || error instanceof X509Error)) throw error;
    throw new ConfigurationError(`label "${name}": ${error.message}`, { cause: error });
  }
}

/** `file:///absolute` or `file://relative/path`, whose first part is the URL's host. */
function parseKeySpec(spec: string): string {
  const [, host, path] = /^file:\/\/([^/]*)(.*)$/.exec(spec) ?? [];
  if (host === undefined || path === undefined) {
    throw new ConfigurationError('unsupported private key scheme: only file:// is known');
  }
  return join(host, decodeURIComponent(path));
}

function parseNets(text: string): BlockList {
  const list = new BlockList();
  for (const net of text.split(',').map((part) => part.trim())) {
    const [, address = '', length = ''] = /^(.+)\/(\d{1,3})$/.exec(net) ?? [];
    const family = isIP(address);
    if (family === 0 || Number(length) > (family === 4 ? 32 : 128)) {
      throw new ConfigurationError(`"${net}" in "nets" is no CIDR address`);
    }
    list.addSubnet(address, Number(length), family === 4 ? 'ipv4' : 'ipv6');
  }
  return list;
}
