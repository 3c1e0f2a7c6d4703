import type { CallKind, Phase } from "./phase.js";
import { appOf, tokenOf } from "./population.js";

/** The text of each kind of call on session `n`; `unique` is another number in each. */
const REQUESTS: Record<
  CallKind,
  (host: string, phase: Phase, n: number, unique: number) => string
> = {
  get: (host, { population }, n) =>
    `GET /${appOf(population, n)}/get/${tokenOf(population, n)} HTTP/1.1\r\nhost: ${host}\r\n\r\n`,
  set: (host, { population }, n, unique) =>
    withBody(
      `POST /${appOf(population, n)}/set/${tokenOf(population, n)}`,
      host,
      `{"unread":${unique}}`,
    ),
  create: (host, { population }, n, unique) =>
    withBody(
      `PUT /${appOf(population, n)}/create/new-${process.pid}-${unique}?ip=192.0.2.44`,
      host,
      '{"unread":12}',
    ),
};

export function requestOf(phase: Phase, host: string, n: number, unique: number): string {
  return REQUESTS[phase.call](host, phase, n, unique);
}

function withBody(start: string, host: string, body: string): string {
  return `${start} HTTP/1.1\r\nhost: ${host}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
}
