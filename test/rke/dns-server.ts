import { createSocket } from "node:dgram";
import { once } from "node:events";
import type { TestContext } from "node:test";
import { type Answer, decode, encode } from "dns-packet";

/** Codes of answers that have no records (RFC 1035, 4.1.1). */
export const RCODE = { servfail: 2, nxdomain: 3, refused: 5 } as const;

/** What a server answers to a question: records, an error code, or nothing at all. */
export type Reply = Answer[] | number | "silent";

/** A DNS server on loopback until the test ends; answers its `address:port`. */
export async function startDns(
  t: TestContext,
  reply: (type: string, name: string) => Reply,
): Promise<string> {
  const socket = createSocket("udp4");
  t.after(() => socket.close());
  socket.on("message", (datagram, { address, port }) => {
    const { id, questions = [] } = decode(datagram);
    const [question] = questions;
    if (!question) return;
    const answer = reply(question.type, question.name);
    if (answer === "silent") return;
    const isCode = typeof answer === "number";
    const packet = encode({
      type: "response",
      ...(id === undefined ? {} : { id }),
      flags: isCode ? answer : 0,
      questions,
      answers: isCode ? [] : answer,
    });
    socket.send(packet, port, address);
  });
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return `127.0.0.1:${socket.address().port}`;
}
