import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, Socket } from "node:net";
import { describe, test } from "node:test";
import fc from "fast-check";
import { createConnectionPlaces } from "../../../src/transports/net/connection-places.js";
import { namePeer } from "../../../src/transports/net/peer.js";
import { eventually } from "../../support/eventually.js";
import { request } from "../../support/transports/command-client.js";
import { withCommandListener } from "../../support/transports/command-listener.js";

/** Places, and connections to it that need no network. */
function createTrial(limits: { connections: number; perAddress: number }) {
  const places = createConnectionPlaces({
    limits,
    hasReserve: false,
    byIdleness: false,
    isShared: () => false,
    onLimit: () => undefined,
  });
  const evicted = new Set<number>();
  let last = 0;
  return {
    evicted,
    /** Null if it is refused. */
    connect(ip: string) {
      const socket = new Socket();
      namePeer(socket, { ip, port: 7 });
      const place = places.admit(socket, "command");
      if (typeof place === "string") return null;
      const number = ++last;
      place.onEvicted(() => evicted.add(number));
      return {
        settle: place.settle,
        isIn: () => !evicted.has(number),
        close: () => socket.emit("close"),
      };
    },
  };
}

describe("places of connections that are not authenticated", () => {
  test("are made by those who have most of them, so that 16 addresses cut nobody else", () => {
    const { connect } = createTrial({ connections: 4_096, perAddress: 1_024 });
    const flood = (times: number) => {
      for (let at = 0; at < times; at++) assert.ok(connect(`10.0.${at % 16}.1`));
    };
    flood(5_000);
    const owner = connect("192.0.2.1");
    flood(20_000);
    // Its password is being checked all the while.
    assert.ok(owner?.isIn());
    owner?.settle();
    flood(20_000);
    assert.ok(owner?.isIn());
  });

  test("are those of one site, however many addresses it has", () => {
    const { connect } = createTrial({ connections: 100, perAddress: 50 });
    const owners = Array.from({ length: 10 }, () => connect("192.0.2.1"));
    for (let at = 0; at < 2_000; at++) {
      connect(`198.51.100.${at % 250}`);
      connect(`2001:db8:7:${at.toString(16)}::1`);
    }
    assert.ok(owners.every((owner) => owner?.isIn()));
  });

  test("of one address are made by its own, and a /64 is one address", () => {
    const { connect, evicted } = createTrial({ connections: 100, perAddress: 3 });
    const other = connect("2001:db8:7:2::1");
    const own = Array.from({ length: 3 }, (_, at) => connect(`2001:db8:7:1::${at}`));
    own[0]?.settle();
    assert.ok(connect("2001:db8:7:1::9"));
    assert.deepEqual(
      own.map((one) => one?.isIn()),
      [true, false, true],
    );
    assert.ok(other?.isIn());
    assert.equal(evicted.size, 1);
  });

  test("are counted right, whatever comes and goes", () =>
    fc.assert(
      fc.property(
        fc.array(
          fc.tuple(
            fc.constantFrom("10.0.0.1", "10.0.0.2", "10.0.1.1", "2001:db8::1", "unix:/a"),
            fc.constantFrom("connect", "connect", "settle", "close"),
            fc.nat(20),
          ),
          { maxLength: 100 },
        ),
        (steps) => {
          const { connect } = createTrial({ connections: 6, perAddress: 3 });
          let open: {
            ip: string;
            settled: boolean;
            one: NonNullable<ReturnType<typeof connect>>;
          }[] = [];
          for (const [ip, step, at] of steps) {
            const chosen = open[at % Math.max(open.length, 1)];
            if (step === "connect") {
              const one = connect(ip);
              const ofIp = open.filter((other) => other.ip === ip);
              const isFull = ofIp.length === 3 || open.length === 6;
              const rivals = ofIp.length === 3 ? ofIp : open;
              assert.equal(one !== null, !isFull || rivals.some(({ settled }) => !settled));
              if (one) open.push({ ip, settled: false, one });
            } else if (step === "settle" && chosen) {
              chosen.one.settle();
              chosen.settled = true;
            } else if (chosen) {
              chosen.one.close();
              open = open.filter((other) => other !== chosen);
            }
            assert.ok(open.every(({ settled, one }) => one.isIn() || !settled));
            open = open.filter(({ one }) => one.isIn());
            assert.ok(open.length <= 6);
          }
        },
      ),
      { numRuns: 300 },
    ));
});

test("connections whose AUTH was refused, or is none, leave their places to others", () =>
  withCommandListener(
    { limits: { connections: 4, perAddress: 4, linger: 60_000 } },
    async ({ address, logIn }) => {
      const [host = "", port] = address.split(":");
      const sockets: Socket[] = [];
      try {
        for (const bytes of [
          request("auth", "admin", "wrong"),
          request("auth", "admin"),
          request("PING"),
          request("nothing"),
        ]) {
          // These do not end their side when the server ends its own.
          const socket = connect({ host, port: Number(port), allowHalfOpen: true });
          sockets.push(socket.on("error", () => undefined).resume());
          const ended = once(socket, "end");
          socket.write(bytes);
          await ended;
        }
        const good = await logIn();
        assert.equal((await good.call("PING")).result, "PONG");
        await eventually("the end of the one that gave way", () => {
          // TCP tells of it when something is sent.
          sockets[0]?.write("x");
          return sockets[0]?.closed === true;
        });
      } finally {
        for (const socket of sockets) socket.destroy();
      }
    },
  ));
