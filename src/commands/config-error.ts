/** A setting that cannot work: flags, environment, kubeconfig. Printed without a stack; the process ends with status 2. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}
