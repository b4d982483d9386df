/** The version that the bundle was built as; running from the checkout there is none. */
export const VERSION = process.env['CFSSL_ISSUER_VERSION'] ?? 'development';
