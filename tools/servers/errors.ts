// The one error of this room. Messages are for the person at the terminal: what could not be done, why, and the ways
// out; they may span lines, because they quote the end of a log.

import { readFileSync } from 'node:fs';

export type ServersErrorCode =
  /** No `go` to build with. */
  | 'SERVERS_NO_GO'
  /** A Go build ended with an error. */
  | 'SERVERS_BUILD_FAILED'
  /** KUBEBUILDER_ASSETS names a folder without the wanted binary. */
  | 'SERVERS_ASSETS_INCOMPLETE'
  /** A server ended, or was not ready in time. */
  | 'SERVERS_START_FAILED'
  /** A server's port was taken between choosing and binding it. */
  | 'SERVERS_ADDRESS_IN_USE'
  /** A request that sets up a server's content was refused. */
  | 'SERVERS_SETUP_FAILED';

export class ServersError extends Error {
  override readonly name = 'ServersError';
  readonly code: ServersErrorCode;

  constructor(code: ServersErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** The name of a log file and its last lines, indented, for the end of a message. */
export function quoteLog(logFile: string, lines = 12): string {
  let text: string;
  try {
    text = readFileSync(logFile, 'utf8');
  } catch (error) {
    return `Its log ${logFile} cannot be read: ${String(error)}`;
  }
  const quoted = text
    .trimEnd()
    .split('\n')
    .slice(-lines)
    .map((line) => `  ${line.length > 500 ? `${line.slice(0, 500)}…` : line}`);
  return text.trim() === '' ? `Its log ${logFile} is empty` : `The last lines of ${logFile}:\n${quoted.join('\n')}`;
}
