/** Takes lines of a log, each some fields and a message. */
export interface LineLog {
  info(fields: object, msg: string): void;
  warn(fields: object, msg: string): void;
}
