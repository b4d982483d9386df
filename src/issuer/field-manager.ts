/** Who we are to the API server: the owner of the status fields that we write, and the reporter of events. */
export const FIELD_MANAGER = 'cfssl-issuer.wikimedia.org';
