import { once } from "node:events";
import { connect, type Socket } from "node:net";

/** An answer on the command protocol. */
export interface Answer {
  readonly clientId: string;
  readonly topic: string;
  readonly status: string;
  readonly result: string;
}

/** A number as protobuf writes it: seven bits a byte, the lowest first. */
function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Buffer.from([...bytes, rest]);
    bytes.push((rest % 128) + 128);
  }
}

/** A field of the kind that has a length: strings and bytes. */
function field(number: number, content: string | Buffer): Buffer {
  const bytes = Buffer.from(content);
  return Buffer.concat([varint(number * 8 + 2), varint(bytes.length), bytes]);
}

/** A Command: field 1 the command, field 2 each argument. */
export function command(name: string, ...args: (string | Buffer)[]): Buffer {
  return Buffer.concat([field(1, name), ...args.map((arg) => field(2, arg))]);
}

/** A frame: 4 bytes of length, big-endian, and the body. `length` may lie. */
export function frame(body: Buffer, length = body.length): Buffer {
  const header = Buffer.alloc(4);
  header.writeUInt32BE(length);
  return Buffer.concat([header, body]);
}

/** The frame of a Command. */
export function request(name: string, ...args: (string | Buffer)[]): Buffer {
  return frame(command(name, ...args));
}

function parseAnswer(body: Buffer): Answer {
  const fields = ["", "", "", "", ""];
  let at = 0;
  const readVarint = () => {
    for (let value = 0, factor = 1; ; factor *= 128) {
      const byte = body.readUInt8(at++);
      value += (byte % 128) * factor;
      if (byte < 128) return value;
    }
  };
  while (at < body.length) {
    const tag = readVarint();
    if (tag % 8 !== 2) throw new Error(`a field of the kind ${tag % 8}`);
    const length = readVarint();
    fields[Math.floor(tag / 8)] = body.toString("utf8", at, at + length);
    at += length;
  }
  const [, clientId = "", topic = "", status = "", result = ""] = fields;
  if (fields.length !== 5) throw new Error("a field that is not documented");
  return { clientId, topic, status, result };
}

export interface CommandClient {
  readonly socket: Socket;
  /** The next answer; rejects when the connection ends without one. */
  receive(): Promise<Answer>;
  /** Sends a command and waits for its answer. */
  call(name: string, ...args: string[]): Promise<Answer>;
  /** What is answered until the server ends the connection. */
  rest(): Promise<Answer[]>;
  close(): void;
}

/** Real milliseconds of silence after which a test gives up. */
const PATIENCE = 15_000;

/** A client of the command protocol that knows of it what its documentation says. */
export function speak(socket: Socket): CommandClient {
  const answers: Answer[] = [];
  const waiting: (() => void)[] = [];
  let unread = Buffer.alloc(0);
  let ended = false;
  let givenUp = false;
  const wake = () => {
    for (const resolve of waiting.splice(0)) resolve();
  };
  socket.on("data", (chunk) => {
    unread = Buffer.concat([unread, chunk]);
    while (unread.length >= 4 && unread.length >= 4 + unread.readUInt32BE()) {
      const end = 4 + unread.readUInt32BE();
      answers.push(parseAnswer(unread.subarray(4, end)));
      unread = unread.subarray(end);
    }
    wake();
  });
  const over = () => {
    ended = true;
    wake();
  };
  socket.on("end", over).on("close", over).on("error", over);

  socket.setTimeout(PATIENCE, () => {
    givenUp = true;
    socket.destroy();
  });
  const wait = async () => {
    await new Promise<void>((resolve) => waiting.push(resolve));
    if (givenUp) throw new Error("the server did nothing at all");
  };

  const receive = async (): Promise<Answer> => {
    for (;;) {
      const answer = answers.shift();
      if (answer) return answer;
      if (ended) throw new Error("the connection ended without an answer");
      await wait();
    }
  };
  return {
    socket,
    receive,
    call(name, ...args) {
      socket.write(request(name, ...args));
      return receive();
    },
    async rest() {
      while (!ended) await wait();
      return answers.splice(0);
    },
    close: () => socket.destroy(),
  };
}

/** A TCP connection to `host:port`. */
export async function dial(address: string): Promise<Socket> {
  const colon = address.lastIndexOf(":");
  const host = address.slice(0, colon).replace(/^\[|\]$/g, "");
  const socket = connect(Number(address.slice(colon + 1)), host);
  await once(socket, "connect");
  return socket;
}
