import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import type { TestContext } from "node:test";

/** A TCP proxy that can go wrong as networks do. */
export interface Middlebox {
  readonly address: string;
  /** Connections so far. */
  readonly count: () => number;
  /** Forgets the connections without a word: what is sent on them arrives nowhere. */
  forget(): void;
  /** Cuts the connections. */
  cut(): void;
  /** From here on no byte passes on any connection, old or new, until it is told otherwise. */
  silence(isSilent: boolean): void;
  /** Cuts everything and listens no more. */
  close(): Promise<void>;
}

/** Opens a middlebox before the server at `target`, which is gone after the test. */
export async function openMiddlebox(
  t: Pick<TestContext, "after">,
  target: string,
): Promise<Middlebox> {
  const [host = "", port] = target.split(":");
  const pairs: { near: Socket; far: Socket; isDead: boolean }[] = [];
  let isSilent = false;
  const server = createServer((near) => {
    const far = connect(Number(port), host);
    const pair = { near, far, isDead: false };
    pairs.push(pair);
    const pass = (to: Socket) => (bytes: Buffer) => {
      if (!pair.isDead && !isSilent) to.write(bytes);
    };
    near.on("data", pass(far)).on("error", () => far.destroy());
    far.on("data", pass(near)).on("error", () => near.destroy());
    near.on("close", () => far.destroy());
    far.on("close", () => pair.isDead || near.destroy());
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const cut = () => {
    for (const { near, far } of pairs) {
      near.destroy();
      far.destroy();
    }
  };
  const close = async () => {
    if (!server.listening) return;
    server.close();
    cut();
    await once(server, "close");
  };
  t.after(close);
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    count: () => pairs.length,
    forget: () => {
      for (const pair of pairs) pair.isDead = true;
    },
    cut,
    silence: (value) => {
      isSilent = value;
      // What was swallowed is lost for good.
      if (value) for (const pair of pairs) pair.isDead = true;
    },
    close,
  };
}
