import { appOf, tokenOf } from "../data/population.js";
import { IP } from "../drivers/driver.js";
import type { CallKind, Phase } from "./phase.js";

/** A call of the HTTP API. */
interface Call {
  readonly line: string;
  readonly body?: string;
}

/** Each kind of call on session `n`; `unique` is another number in each, `note` the end of its data. */
const CALLS: Record<
  CallKind,
  (of: Phase["population"], n: number, unique: number, note: string) => Call
> = {
  get: (of, n) => ({ line: `GET /${appOf(of, n)}/get/${tokenOf(of, n)}` }),
  set: (of, n, unique, note) => ({
    line: `POST /${appOf(of, n)}/set/${tokenOf(of, n)}`,
    body: `{"n":${unique}${note}}`,
  }),
  create: (of, n, unique, note) => ({
    line: `PUT /${appOf(of, n)}/create/new-${process.pid}-${unique}?ip=${IP}`,
    body: `{"unread":12${note}}`,
  }),
};

/** What data ends with that has the note beside the usual. */
export const noteMember = (note: string | undefined): string =>
  note === undefined ? "" : `,"note":"${note}"`;

/** The text that the phase's call on session `n` sends. */
export function requestOf(phase: Phase, host: string, n: number, unique: number): string {
  const { population, note } = phase;
  const { line, body } = CALLS[phase.call](population, n, unique, noteMember(note));
  const more = Object.entries(phase.headers ?? {}).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = `${line} HTTP/1.1\r\nhost: ${host}\r\n${more.join("")}`;
  if (body === undefined) return `${head}\r\n`;
  return `${head}content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
}
