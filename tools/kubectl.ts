// kubectl against whatever cluster the kubeconfig of the environment leads to: the machine's, or the one that the tests
// use where there is none.

import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

import { ensureBinary } from './servers/index.ts';

/** A failure that its message explains: no stack is needed. */
export class DeployError extends Error {
  override readonly name = 'DeployError';
}

export interface Kubectl {
  /** Runs it with what it prints shown. @throws DeployError */
  run(words: readonly string[], options?: { readonly input?: string }): Promise<void>;
  /** Runs it and gives what it prints. @throws DeployError */
  read(words: readonly string[]): Promise<string>;
}

/** The path of a program, if PATH has it. */
export function findProgram(name: string, env: NodeJS.ProcessEnv = process.env): string | undefined {
  const folders = (env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  return folders
    .map((folder) => join(folder, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** @throws ServersError when there is none and none can be built */
export async function findKubectl(): Promise<Kubectl> {
  const program = findProgram('kubectl') ?? (await ensureBinary('kubectl'));
  const call = (words: readonly string[], input?: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const child = execFile(program, words, { maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else reject(new DeployError(`kubectl ${words.join(' ')}: ${stderr.trim() || error.message}`));
      });
      // When it ends before it has read all, its exit status says why.
      child.stdin?.on('error', () => {}).end(input ?? '');
    });
  return {
    run: async (words, { input } = {}) => {
      process.stdout.write(await call(words, input));
    },
    read: (words) => call(words),
  };
}

/** kubectl, once a cluster has answered it. @throws DeployError that tells what is missing */
export async function findCluster(): Promise<Kubectl> {
  const kubectl = await findKubectl();
  try {
    await kubectl.read(['get', '--raw=/version', '--request-timeout=10s']);
  } catch (error) {
    throw new DeployError(
      `There is no cluster to work on: set KUBECONFIG, or choose a context with kubectl config use-context.\n${(error as Error).message}`,
      { cause: error },
    );
  }
  return kubectl;
}
