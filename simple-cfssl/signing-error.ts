/** Why the signer refused. Clients are not told: multirootca answers "bad request" and writes the reason into its log. */
export class SigningError extends Error {
  override readonly name = 'SigningError';
}
