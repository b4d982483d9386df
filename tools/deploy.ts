// `make install`, `uninstall`, `deploy`, `undeploy`, `deploy-simple-cfssl`: puts things into the current cluster, as the
// targets of these names always did, with kubectl and the kustomizations of config/.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { stringify } from 'yaml';

import { DeployError, findCluster, type Kubectl } from './kubectl.ts';
import { buildSurroundings } from './samples.ts';
import { ServersError } from './servers/index.ts';
import { createSimpleCfsslCa } from './simple-cfssl-ca.ts';

const ROOT = join(import.meta.dirname, '..');
const CONFIG = join(ROOT, 'config');
const FIELD_MANAGER = '--field-manager=cfssl-issuer-deploy';
const ROLLOUT_TIMEOUT = '--timeout=120s';
/** The namespace of the throw-away CFSSL, and its Secret there. */
const SIMPLE_CFSSL = { namespace: 'simple-cfssl', secret: 'simple-cfssl-ca' } as const;

/** What follows the command's name is handed on to `kubectl delete`. */
type Command = (kubectl: Kubectl, env: NodeJS.ProcessEnv, more: readonly string[]) => Promise<void>;

const COMMANDS: Readonly<Record<string, Command>> = {
  install: (kubectl) => kubectl.run(['apply', '-k', join(CONFIG, 'crd')]),
  // Takes all Issuers and ClusterIssuers along, as deleting a CRD does.
  uninstall: (kubectl, _, more) => kubectl.run(['delete', '-k', join(CONFIG, 'crd'), ...more]),
  deploy,
  undeploy: (kubectl, env, more) => kubectl.run(['delete', '-k', writeKustomization('default', env), ...more]),
  'simple-cfssl': deploySimpleCfssl,
};

/** Applies config/default with the image of IMG, and waits until it runs. */
export async function deploy(kubectl: Kubectl, env: NodeJS.ProcessEnv): Promise<void> {
  const { stdout } = process;
  await kubectl.run(['apply', '-k', writeKustomization('default', env)]);
  await kubectl.run(['-n', 'cfssl-issuer-system', 'rollout', 'status', 'deployment', ROLLOUT_TIMEOUT]);
  stdout.write(`${imageOf('default', env)} runs in namespace cfssl-issuer-system\n`);
}

/**
 * Applies config/simple-cfssl with a CA of its own, which later calls keep, and puts its root where the samples look for
 * it.
 */
export async function deploySimpleCfssl(kubectl: Kubectl, env: NodeJS.ProcessEnv): Promise<void> {
  const { namespace, secret: name } = SIMPLE_CFSSL;
  const files = (await readSimpleCfsslCa(kubectl)) ?? (await createSimpleCfsslCa());
  const manifests = [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
    { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace }, stringData: files },
    ...buildSurroundings(files['ca.pem'] ?? ''),
  ];
  const input = manifests.map((manifest) => stringify(manifest)).join('---\n');
  await kubectl.run(['apply', '--server-side', '--force-conflicts', FIELD_MANAGER, '-f', '-'], { input });
  await kubectl.run(['apply', '-k', writeKustomization('simple-cfssl', env)]);
  await kubectl.run(['-n', namespace, 'rollout', 'status', 'deployment', ROLLOUT_TIMEOUT]);
  process.stdout.write('CFSSL answers at https://api.simple-cfssl.svc.cluster.local:8888; config/samples fit it\n');
}

/** The files of the CA in the cluster; undefined when there is none. */
export async function readSimpleCfsslCa(kubectl: Kubectl): Promise<Readonly<Record<string, string>> | undefined> {
  const { namespace, secret } = SIMPLE_CFSSL;
  const text = await kubectl.read(['-n', namespace, 'get', 'secret', secret, '--ignore-not-found', '-o', 'json']);
  if (text === '') return undefined;
  const { data } = JSON.parse(text) as { readonly data: Readonly<Record<string, string>> };
  return Object.fromEntries(
    Object.entries(data).map(([file, base64]) => [file, Buffer.from(base64, 'base64').toString('utf8')]),
  );
}

/** Which image a folder of config/ is deployed with: IMG, SIMPLE_CFSSL_IMG, or what `make docker-build` makes. */
export function imageOf(folder: 'default' | 'simple-cfssl', env: NodeJS.ProcessEnv): string {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { readonly version: string };
  return folder === 'default'
    ? env['IMG'] || `cfssl-issuer:${version}`
    : env['SIMPLE_CFSSL_IMG'] || `simple-cfssl:${version}`;
}

/** A kustomization over that folder of config/ that sets the image; gives its folder, in dist/. */
function writeKustomization(folder: 'default' | 'simple-cfssl', env: NodeJS.ProcessEnv): string {
  const target = join(ROOT, 'dist', 'kustomize', folder);
  mkdirSync(target, { recursive: true });
  const image = imageOf(folder, env);
  const [, name, suffix = ''] = /^([^@]*?)((?::[^:/@]+)?(?:@.+)?)$/.exec(image) ?? [];
  if (name === undefined || name === '') throw new DeployError(`"${image}" is no image name`);
  const [, tag, digest] = /^(?::([^@]+))?(?:@(.+))?$/.exec(suffix) ?? [];
  const kustomization = {
    apiVersion: 'kustomize.config.k8s.io/v1beta1',
    kind: 'Kustomization',
    resources: [`../../../config/${folder}`],
    images: [
      {
        name: folder === 'default' ? 'controller' : 'simple-cfssl',
        newName: name,
        // kustomize takes a digest or a tag, not both
        ...(digest === undefined ? { newTag: tag ?? 'latest' } : { digest }),
      },
    ],
  };
  writeFileSync(join(target, 'kustomization.yaml'), stringify(kustomization));
  return target;
}

if (import.meta.main) {
  try {
    const [name = '', ...more] = process.argv.slice(2);
    const command = COMMANDS[name];
    if (command === undefined) throw new DeployError(`Unknown: "${name}"; known: ${Object.keys(COMMANDS).join(', ')}`);
    await command(await findCluster(), process.env, more);
  } catch (error) {
    if (!(error instanceof DeployError || error instanceof ServersError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}
