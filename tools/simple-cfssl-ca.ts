// The CA of the throw-away CFSSL in a cluster, as files of a Secret: what config/simple-cfssl mounts.

import { issueCertificate } from './servers/authority.ts';
import { createTestCa } from './servers/index.ts';

/** The names by which pods reach it; the first is that of the samples. */
const DNS_NAMES = ['api.simple-cfssl.svc.cluster.local', 'api.simple-cfssl.svc', 'api.simple-cfssl', 'localhost'];

/** Makes a root, an intermediate for each label, and a TLS certificate. Contents by file name. */
export async function createSimpleCfsslCa(): Promise<Readonly<Record<string, string>>> {
  const { root, intermediates } = await createTestCa();
  const tls = await issueCertificate(root, { name: 'simple-cfssl', dnsNames: DNS_NAMES, ipAddresses: ['127.0.0.1'] });
  return {
    'ca.pem': root.certificatePem,
    'tls.pem': tls.certificatePem,
    'tls-key.pem': tls.keyPem,
    ...Object.fromEntries(
      Object.entries(intermediates).flatMap(([label, { certificatePem, keyPem }]) => [
        [`${label}.pem`, certificatePem],
        [`${label}-key.pem`, keyPem],
      ]),
    ),
  };
}
