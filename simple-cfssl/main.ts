/** The executable: flags in, a server that runs until it is told to stop, and what an Issuer needs printed. */
import process from 'node:process';
import { printable } from '../src/x509/index.ts';
import { ConfigurationError } from './configuration-error.ts';
import { type Flags, formatHelp, parseAddress, parseFlags } from './flags.ts';
import { formatLogTime } from './go/time.ts';
import { LOG_LEVELS, type Log } from './log.ts';
import { type SimpleCfssl, type SimpleCfsslOptions, startSimpleCfssl } from './simple-cfssl.ts';

const USAGE = `Usage: simple-cfssl [flags]

A throw-away CA that speaks the API of CFSSL's multirootca. Without -roots it makes itself a root, two intermediates and
keys, which are gone with the process unless -folder keeps them.

`;

// oxlint-disable-next-line no-restricted-globals -- the executable is where the clock comes from
const now = (): number => Date.now();

async function main(words: readonly string[]): Promise<void> {
  const flags = parseFlags(words);
  if (flags.help) {
    process.stdout.write(USAGE + formatHelp());
    return;
  }
  const minimum = Number(flags.loglevel);
  const log: Log = (level, message) => {
    if (LOG_LEVELS.indexOf(level) < minimum) return;
    // Reasons quote what clients sent
    process.stderr.write(`${formatLogTime(now())} [${level}] ${printable(message, 1000)}\n`);
  };
  const server = await startSimpleCfssl(toOptions(flags, log));
  log('INFO', `Now listening on ${flags.a}`);
  if (flags.roots === '') process.stdout.write(describeIssuer(server));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void server.stop());
}

function toOptions(flags: Flags, log: Log): SimpleCfsslOptions {
  const { 'tls-cert': certificatePath, 'tls-key': keyPath } = flags;
  return {
    now,
    log,
    env: process.env,
    ...parseAddress(flags.a),
    defaultLabel: flags.l,
    bundle: flags.bundle,
    // As multirootca: either of them means TLS, and both must be there
    tls: certificatePath === '' && keyPath === '' ? 'none' : { certificatePath, keyPath },
    ...(flags.roots !== '' && { rootsFile: flags.roots }),
    ...(flags.folder !== '' && { folder: flags.folder }),
  };
}

function describeIssuer({ url, labels, authKeys, rootPem }: SimpleCfssl): string {
  const keys = Object.entries(authKeys).map(([name, key]) => `key     ${key}  (profiles with auth_key "${name}")\n`);
  return `url     ${url}\n${labels.map((label) => `label   ${label}\n`).join('')}${keys.join('')}\n${rootPem}`;
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof Error)) throw error;
  // What the user can mend: flags, configurations, files that are missing, addresses that are taken
  const isExpected = error instanceof ConfigurationError || 'syscall' in error;
  process.stderr.write(`simple-cfssl: ${isExpected ? error.message : String(error.stack)}\n`);
  process.exitCode = 1;
}
