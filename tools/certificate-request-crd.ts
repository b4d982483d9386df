// A stand-in for cert-manager's CRD of CertificateRequests, for machines without Go, which alone can fetch the real one:
// the same names, scope, subresource and selectable fields, and no validation.

const text = { type: 'string' } as const;

export const certificateRequestCrd = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'certificaterequests.cert-manager.io' },
  spec: {
    group: 'cert-manager.io',
    scope: 'Namespaced',
    names: {
      kind: 'CertificateRequest',
      listKind: 'CertificateRequestList',
      plural: 'certificaterequests',
      singular: 'certificaterequest',
      shortNames: ['cr', 'crs'],
    },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        subresources: { status: {} },
        selectableFields: ['group', 'kind', 'name'].map((field) => ({ jsonPath: `.spec.issuerRef.${field}` })),
        schema: {
          openAPIV3Schema: {
            type: 'object',
            properties: {
              spec: {
                type: 'object',
                'x-kubernetes-preserve-unknown-fields': true,
                properties: {
                  request: text,
                  issuerRef: { type: 'object', properties: { group: text, kind: text, name: text } },
                },
              },
              status: {
                type: 'object',
                'x-kubernetes-preserve-unknown-fields': true,
                properties: {
                  conditions: {
                    type: 'array',
                    'x-kubernetes-list-type': 'map',
                    'x-kubernetes-list-map-keys': ['type'],
                    items: {
                      type: 'object',
                      required: ['type'],
                      properties: { type: text },
                      'x-kubernetes-preserve-unknown-fields': true,
                    },
                  },
                },
              },
            },
          },
        },
      },
    ],
  },
} as const;
