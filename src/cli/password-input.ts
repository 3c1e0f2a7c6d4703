import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { LatchkeyError } from "../domain/error.js";

/** What a command reads passwords from and asks for them on. */
export interface PasswordInput {
  readonly stdin: NodeJS.ReadStream;
  readonly stderr: NodeJS.WritableStream;
}

/**
 * A new password: asked for twice, without an echo, if the input is a terminal;
 * else its first line. Rejects with `invalid` if there is none, or the two differ.
 */
export async function readPassword({ stdin, stderr }: PasswordInput): Promise<string> {
  const lines = createInterface({
    input: stdin,
    // What is typed at a terminal is echoed to nowhere.
    output: new Writable({ write: (_chunk, _encoding, done) => done() }),
    terminal: stdin.isTTY,
    historySize: 0,
  });
  const iterator = lines[Symbol.asyncIterator]();
  const readLine = async (question: string): Promise<string> => {
    if (stdin.isTTY) stderr.write(question);
    const { value, done } = await iterator.next();
    if (stdin.isTTY) stderr.write("\n");
    if (done) throw new LatchkeyError("invalid", "no password was given");
    return value;
  };
  try {
    const password = await readLine("New password: ");
    if (stdin.isTTY && (await readLine("The same again: ")) !== password) {
      throw new LatchkeyError("invalid", "the two passwords differ: nothing was changed");
    }
    return password;
  } finally {
    lines.close();
    // An input that stays open must not keep the process.
    stdin.destroy();
  }
}
