/** CFSSL's levels of its log, from the most talkative to none (cloudflare/cfssl v1.7.1, log/log.go). */
export const LOG_LEVELS = ['DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL', 'FATAL'] as const;

export type LogLevel = (typeof LOG_LEVELS)[number];

/** Takes a line. It never contains a token, a key or a body. */
export type Log = (level: LogLevel, message: string) => void;
