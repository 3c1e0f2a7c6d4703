import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { Socket } from "node:net";
import { describe, test } from "node:test";
import { namePeer, peerOf, textOfPeer } from "../../../src/transports/net/peer.js";
import { eventually } from "../../support/eventually.js";
import {
  type Answer,
  type CommandClient,
  command,
  dial,
  frame,
  request,
  speak,
} from "../../support/transports/command-client.js";
import {
  type CommandServer,
  withCommandListener,
} from "../../support/transports/command-listener.js";

const LIMIT = 65_536;

/** A frame that is a PING of exactly `size` bytes. */
function pingOf(size: number): Buffer {
  const [small, empty] = [command("PING", "x".repeat(1_000)), 1_000];
  // From 16,384 bytes on an argument's length takes three bytes; of 1,000 it takes two.
  return frame(command("PING", "x".repeat(size - (small.length - empty) - 1)));
}

async function assertServes({ logIn }: CommandServer): Promise<void> {
  const client = await logIn();
  assert.equal((await client.call("PING")).result, "PONG");
  client.close();
}

/** Sends `bytes`, on a connection that has logged in or not, and answers what comes back. */
async function answersTo(server: CommandServer, bytes: Buffer, login: boolean) {
  const client = login ? await server.logIn() : await server.connect();
  client.socket.write(bytes);
  const answers = await client.rest();
  return answers.map(({ status, result }) => `${status} ${result}`);
}

describe("a frame", () => {
  for (const length of [LIMIT + 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1]) {
    for (const login of [false, true]) {
      const when = login ? "after" : "before";
      test(`of ${length} bytes ${when} the login is refused at its length, and ends it`, () =>
        withCommandListener({}, async (server) => {
          const answers = await answersTo(server, frame(Buffer.alloc(0), length), login);
          assert.equal(answers.length, 1);
          assert.match(answers[0] ?? "", /^Error InvalidFrameError: /);
          await assertServes(server);
        }));
    }
  }

  test("as long as the limit is answered", () =>
    withCommandListener({}, async ({ logIn }) => {
      const client = await logIn();
      const longest = pingOf(LIMIT);
      assert.equal(longest.length, 4 + LIMIT);
      client.socket.write(longest);
      assert.match((await client.receive()).result, /^PONG x+$/);
    }));

  test("without a body, as the first, is no AUTH", () =>
    withCommandListener({}, async (server) => {
      const answers = await answersTo(server, frame(Buffer.alloc(0)), false);
      assert.deepEqual(answers, ["Error unauthorized or session not found"]);
    }));

  for (const [what, body] of [
    ["text", Buffer.from("GET / HTTP/1.1\r\n\r\n")],
    ["a field that is cut off", Buffer.from([0x0a, 0x05, 0x50])],
    ["a length without end", Buffer.alloc(20, 0xff)],
    ["a group that never ends", Buffer.from([0x1b])],
    ["a name that is not UTF-8", command("PING").fill(0xc3, 2, 3)],
    ["an argument that is not UTF-8", command("PING", Buffer.from([0xff, 0xfe]))],
    ["half a surrogate pair", command("PING", Buffer.from([0xed, 0xa0, 0x80]))],
  ] satisfies [string, Buffer][]) {
    for (const login of [false, true]) {
      const when = login ? "after" : "before";
      test(`that holds ${what} ${when} the login is refused, and ends it`, () =>
        withCommandListener({}, async (server) => {
          // What follows the frame is no longer looked at.
          const bytes = Buffer.concat([frame(body), request("PING")]);
          const answers = await answersTo(server, bytes, login);
          assert.deepEqual(answers, ["Error InvalidFrameError: the frame's body is no Command"]);
          await assertServes(server);
        }));
    }
  }

  test("may hold fields that nobody knows", () =>
    withCommandListener({}, async ({ logIn }) => {
      const client = await logIn();
      // Field 15, of the kind that has a length.
      const unknown = Buffer.from([0x7a, 0x02, 0x68, 0x69]);
      client.socket.write(frame(Buffer.concat([command("PING"), unknown])));
      assert.equal((await client.receive()).result, "PONG");
    }));
});

test("bytes of HTTP are refused and end the connection", () =>
  withCommandListener({}, async (server) => {
    const answers = await answersTo(
      server,
      Buffer.from("GET / HTTP/1.1\r\nhost: x\r\n\r\n"),
      false,
    );
    assert.match(answers.join(), /^Error InvalidFrameError: /);
  }));

const textOf = ({ result }: Answer): string => result;

const warningsOf = (log: readonly string[]): string[] =>
  log.filter((line) => line.includes("a limit of the command listener was met"));

/** Opens `count` connections, and says `bytes` on each. */
async function crowd(address: string, count: number, bytes: Buffer): Promise<CommandClient[]> {
  const clients: CommandClient[] = [];
  while (clients.length < count) {
    const some = Array.from({ length: 50 }, async () => {
      const client = speak(await dial(address));
      if (bytes.length > 0) client.socket.write(bytes);
      return client;
    });
    clients.push(...(await Promise.all(some)));
  }
  return clients;
}

const limits = { perAddress: 2_000, connections: 2_000, firstCommand: 500 };

for (const [what, bytes] of [
  ["silent", Buffer.alloc(0)],
  ["half-framed", request("auth", "admin", "secret").subarray(0, 9)],
  ["half-headed", Buffer.alloc(3)],
] satisfies [string, Buffer][]) {
  test(`a thousand ${what} connections are closed in time while others are served`, () =>
    withCommandListener({ limits }, async (server) => {
      const good = await server.logIn();
      const crowded = await crowd(server.address, 1_000, bytes);
      try {
        let open = crowded.length;
        for (const client of crowded) {
          client.rest().then((answers) => {
            assert.deepEqual(answers.map(textOf), ["LimitError: AUTH did not come within 0.5 s"]);
            open--;
          });
        }
        assert.equal((await good.call("PING")).result, "PONG");
        await assertServes(server);
        await eventually("the end of the crowd", async () => {
          assert.equal((await good.call("PING")).result, "PONG");
          return open === 0;
        });
      } finally {
        for (const client of crowded) client.close();
      }
    }));
}

test("a first command that trickles in is not waited for", () =>
  withCommandListener({ limits: { firstCommand: 100 } }, async ({ connect }) => {
    const client = await connect();
    let ended = false;
    const rest = client.rest().then((answers) => {
      ended = true;
      return answers;
    });
    const bytes = request("auth", "admin", "s".repeat(60_000));
    for (const byte of bytes) {
      if (ended) break;
      client.socket.write(Buffer.of(byte));
      await new Promise(setImmediate);
    }
    assert.deepEqual((await rest).map(textOf), ["LimitError: AUTH did not come within 0.1 s"]);
  }));

test("a connection is closed when it is idle for too long, and not while commands come", () =>
  withCommandListener({ limits: { idle: 200 } }, async ({ logIn, log }) => {
    const [idle, busy] = [await logIn(), await logIn()];
    let ended = false;
    const rest = idle.rest().then((answers) => {
      ended = true;
      return answers;
    });
    while (!ended) assert.equal((await busy.call("PING")).result, "PONG");
    assert.deepEqual((await rest).map(textOf), ["LimitError: no command came for 0.2 s"]);
    assert.equal(warningsOf(log).length, 1);
    assert.equal((await busy.call("PING")).result, "PONG");
  }));

describe("a client that does not read its answers", () => {
  // More answers than the sockets' buffers hold on both sides.
  const flood = Array.from({ length: 400 }, () => request("PING", "x".repeat(60_000)));

  test("is not read from any more, and is dropped in time", () =>
    withCommandListener({ limits: { drain: 300 } }, async (server) => {
      const client = await server.logIn();
      client.socket.pause();
      let taken = 0;
      for (const ping of flood) client.socket.write(ping, (error) => error ?? taken++);
      const good = await server.logIn();
      await eventually("the end of the session", async () => {
        assert.equal((await good.call("PING")).result, "PONG");
        return server.connections.list().length === 1;
      });
      assert.ok(taken < flood.length, "some of it was never read");
    }));

  test("for a while is answered in full when it does", () =>
    withCommandListener({}, async ({ logIn }) => {
      const client = await logIn();
      client.socket.pause();
      for (const ping of flood) client.socket.write(ping);
      await eventually("a full buffer", () => client.socket.writableLength > 0);
      client.socket.resume();
      for (const _ of flood) assert.equal((await client.receive()).status, "Ok");
      assert.equal((await client.call("PING")).result, "PONG");
    }));
});

/** Whether a new connection is served. */
async function canLogIn(connect: CommandServer["connect"]): Promise<boolean> {
  const client = await connect();
  client.socket.write(request("auth", "admin", "secret"));
  return client.receive().then(
    ({ status }) => status === "Ok",
    () => false,
  );
}

describe("connections over the limit", () => {
  test("of one address are told so and closed, and may come when others have gone", () =>
    withCommandListener(
      { limits: { perAddress: 3, firstCommand: 60_000 } },
      async ({ connect, logIn, log }) => {
        const clients = [await logIn(), await logIn(), await logIn()];
        for (let times = 0; times < 3; times++) {
          const fourth = await connect();
          fourth.socket.write(request("auth", "admin", "secret"));
          const [answer, ...more] = await fourth.rest();
          assert.equal(answer?.status, "Error");
          assert.equal(answer?.result, "LimitError: the server takes 3 connections of one address");
          assert.match(answer?.clientId ?? "", /^\d+-127\.0\.0\.1:\d+$/);
          assert.deepEqual(more, []);
        }
        const [line, ...lines] = warningsOf(log).map((one) => JSON.parse(one));
        assert.equal(line.level, 40);
        assert.equal(line.ip, "127.0.0.1");
        assert.deepEqual(lines, []);
        for (const client of clients) assert.equal((await client.call("PING")).result, "PONG");
        clients[0]?.close();
        await eventually("a place", () => canLogIn(connect));
      },
    ));

  test("find a place where another has not sent its AUTH", () =>
    withCommandListener(
      { limits: { perAddress: 3, firstCommand: 60_000 } },
      async ({ connect, logIn }) => {
        const first = await logIn();
        const silent = await connect();
        const later = await connect();
        const next = await logIn();
        const answers = await silent.rest();
        assert.deepEqual(answers.map(textOf), [
          "LimitError: the server takes 3 connections of one address",
        ]);
        for (const client of [first, next]) {
          assert.equal((await client.call("PING")).result, "PONG");
        }
        assert.equal((await later.call("auth", "admin", "secret")).result, "Connected");
        assert.match(textOf((await (await connect()).rest())[0] ?? assert.fail()), /^LimitError/);
      },
    ));

  test("in all are told so and closed, and may come when others have gone", () =>
    withCommandListener(
      { limits: { connections: 2, firstCommand: 60_000 } },
      async ({ connect, logIn }) => {
        const clients = [await logIn(), await logIn()];
        const third = await connect();
        assert.deepEqual((await third.rest()).map(textOf), [
          "LimitError: the server takes 2 connections",
        ]);
        for (const client of clients) assert.equal((await client.call("PING")).result, "PONG");
        clients[0]?.close();
        await eventually("a place", () => canLogIn(connect));
      },
    ));
});

test("a refused client that goes on sending leaves its place when it goes", () => {
  const endless = { perAddress: 1, drain: 60_000, linger: 60_000 };
  return withCommandListener({ limits: endless }, async ({ connect }) => {
    const client = await connect();
    client.socket.write(request("auth", "admin", "wrong"));
    // More than the sockets' buffers hold on both sides.
    for (let sent = 0; sent < 400; sent++) client.socket.write(Buffer.alloc(60_000));
    assert.equal((await client.receive()).status, "Error");
    client.socket.end();
    await eventually("a place", () => canLogIn(connect));
  });
});

test("a peer's address is told alike on every kind of socket", () => {
  for (const [ip, address] of [
    ["127.0.0.1", "127.0.0.1:7"],
    ["::ffff:127.0.0.1", "127.0.0.1:7"],
    ["::1", "[::1]:7"],
    ["2001:db8::ffff:1", "[2001:db8::ffff:1]:7"],
    ["::ffff:c000:201", "[::ffff:c000:201]:7"],
    ["unix:/run/a.sock", "unix:/run/a.sock"],
  ] as const) {
    const socket = new Socket();
    assert.equal(peerOf(socket), null);
    namePeer(socket, { ip, port: 7 });
    const peer = peerOf(socket);
    assert.equal(peer && textOfPeer(peer), address);
  }
});

test("a pool of 500 connections of one address is served by the usual limits, and not cut", () =>
  withCommandListener({}, async ({ address, logIn }) => {
    const pool = await crowd(address, 500, request("auth", "admin", "secret"));
    try {
      for (const client of pool) assert.equal((await client.receive()).result, "Connected");
      const pings = pool.map((client) => client.call("PING"));
      for (const { result } of await Promise.all(pings)) assert.equal(result, "PONG");
      await logIn();
    } finally {
      for (const client of pool) client.close();
    }
  }));

const isLinux = process.platform === "linux";

test("TCP asks a silent client whether it is there", { skip: !isLinux }, () =>
  withCommandListener({}, async ({ address, logIn }) => {
    const client = await logIn();
    const hex = (port: number | string | undefined) =>
      Number(port).toString(16).toUpperCase().padStart(4, "0");
    const ends = `:${hex(address.split(":")[1])} 0100007F:${hex(client.socket.localPort)} 01 `;
    // The kind of the socket's timer: 2 is that of keepalive once nothing is on its way.
    await eventually("a keepalive timer", () => {
      const line = readFileSync("/proc/net/tcp", "utf8")
        .split("\n")
        .find((one) => one.includes(ends));
      return / 02:[0-9A-F]{8} /.test(line ?? "");
    });
  }),
);
