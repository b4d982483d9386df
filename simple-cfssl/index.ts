/** A throw-away CA that speaks CFSSL's protocol, for tests. */
export type { Log, LogLevel } from './log.ts';
export { type SimpleCfssl, type SimpleCfsslOptions, startSimpleCfssl } from './simple-cfssl.ts';
