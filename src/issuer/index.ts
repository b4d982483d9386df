export { Controllers, type ControllersDeps, type ControllersOptions } from './controllers.ts';
export { type Explanation, ISSUER_REASONS, ISSUER_WARNINGS, REQUEST_EVENTS, REQUEST_REASONS } from './reasons.ts';
