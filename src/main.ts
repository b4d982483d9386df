/** The executable: picks a command, nothing else. Flags without a command belong to `controller`, as before. */
import { ConfigError } from './commands/config-error.ts';
import { controllerHelp, runController } from './commands/controller.ts';

const USAGE = `Usage: cfssl-issuer [controller] [flags]

Has cert-manager's CertificateRequests signed by CFSSL, for Issuers and ClusterIssuers of the group
cfssl-issuer.wikimedia.org. Flags may be written with one dash or two:

`;

async function main(words: readonly string[]): Promise<number> {
  const [first = ''] = words;
  if (words.some((word) => /^(--?help|-h)$/.test(word))) {
    process.stdout.write(USAGE + controllerHelp());
    return 0;
  }
  if (first === '' || first.startsWith('-')) return await runController(words);
  if (first === 'controller') return await runController(words.slice(1));
  throw new ConfigError(`Unknown command "${first}"; --help lists what there is`);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof ConfigError)) throw error;
  process.stderr.write(`cfssl-issuer: ${error.message}\n`);
  process.exitCode = 2;
}
