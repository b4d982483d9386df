/** A configuration or flag that cannot work. Printed without a stack; the process ends with status 1, as multirootca's. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError';
}
