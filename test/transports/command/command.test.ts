import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { describe, test } from "node:test";
import { LatchkeyError } from "../../../src/domain/error.js";
import type { Authentication } from "../../../src/services/access/authentication.js";
import { eventually } from "../../support/eventually.js";
import { type Answer, frame, request } from "../../support/transports/command-client.js";
import { STARTED_AT, withCommandListener } from "../../support/transports/command-listener.js";

const UNAUTHORIZED = "unauthorized or session not found";

/** A promise that the test resolves. */
function createGate() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open: () => open() };
}

const ok = ({ status, result }: Answer): string => {
  assert.equal(status, "Ok", result);
  return result;
};
const error = ({ status, result }: Answer): string => {
  assert.equal(status, "Error", result);
  return result;
};

describe("AUTH", () => {
  test("with name and password is answered Connected, with the connection's id", () =>
    withCommandListener({}, async ({ connect }) => {
      for (const number of [1, 2]) {
        const client = await connect();
        const answer = await client.call("auth", "admin", "secret");
        assert.deepEqual(answer, {
          clientId: `${number}-127.0.0.1:${client.socket.localPort}`,
          topic: "",
          status: "Ok",
          result: "Connected",
        });
      }
    }));

  for (const [what, ...args] of [
    ["a wrong password", "admin", "wrong"],
    ["an unknown account", "nobody", "secret"],
    ["an empty password", "admin", ""],
    ["no arguments", ...[]],
    ["two empty arguments", "", ""],
  ] satisfies [string, ...string[]][]) {
    test(`with ${what} is refused, and the connection ends`, () =>
      withCommandListener({}, async ({ connect, connections }) => {
        const client = await connect();
        const answer = await client.call("auth", ...args);
        assert.equal(error(answer), UNAUTHORIZED);
        assert.match(answer.clientId, /^1-127\.0\.0\.1:\d+$/);
        assert.deepEqual(await client.rest(), []);
        assert.deepEqual(connections.list(), []);
      }));
  }

  for (const args of [["admin"], ["admin", "secret", "more"]]) {
    test(`with ${args.length} arguments is refused, and the connection ends`, () =>
      withCommandListener({}, async ({ connect }) => {
        const client = await connect();
        assert.match(error(await client.call("auth", ...args)), /^InvalidArgumentError: /);
        assert.deepEqual(await client.rest(), []);
      }));
  }

  test("that failed is the last that is heeded", () =>
    withCommandListener({}, async ({ connect, accounts }) => {
      const client = await connect();
      const right = request("auth", "admin", "secret");
      client.socket.write(Buffer.concat([request("auth", "admin", "wrong"), right, right]));
      const answers = await client.rest();
      assert.deepEqual(answers.map(error), [UNAUTHORIZED]);
      assert.equal(accounts.addresses.length, 1);
    }));

  test("is taken once", () =>
    withCommandListener({}, async ({ logIn }) => {
      const client = await logIn();
      const again = await client.call("auth", "ann", "pass");
      assert.match(error(again), /^InvalidCommandError: /);
      assert.equal(JSON.parse(ok(await client.call("SESSION"))).user.Username, "admin");
    }));

  test("says why it was refused if that is no secret", () => {
    const slow = () => {
      throw new LatchkeyError("limit", "too many failed logins: wait 2 s");
    };
    const authentication = (usual: Authentication) => ({ ...usual, byPassword: slow });
    return withCommandListener({ authentication }, async ({ connect }) => {
      const client = await connect();
      assert.match(error(await client.call("auth", "a", "b")), /^too many failed logins/);
      assert.deepEqual(await client.rest(), []);
    });
  });

  test("that breaks inside says nothing of it to the client, and all to the log", () => {
    const broken = () => Promise.reject(new Error("the disk is on fire"));
    const authentication = (usual: Authentication) => ({ ...usual, byPassword: broken });
    return withCommandListener({ authentication }, async ({ connect, log }) => {
      const client = await connect();
      assert.equal(error(await client.call("auth", "a", "b")), "internal server error");
      assert.deepEqual(await client.rest(), []);
      assert.ok(log.some((line) => line.includes("the disk is on fire")));
    });
  });
});

describe("a first command other than AUTH", () => {
  for (const name of ["SESSION", "PING", "STATUS", "GET", ""]) {
    test(`is refused, and the connection ends: ${JSON.stringify(name)}`, () =>
      withCommandListener({}, async ({ connect }) => {
        const client = await connect();
        const answer = await client.call(name);
        assert.equal(error(answer), UNAUTHORIZED);
        assert.match(answer.clientId, /^1-127\.0\.0\.1:\d+$/);
        assert.deepEqual(await client.rest(), []);
      }));
  }
});

describe("PING", () => {
  for (const [args, result] of [
    [[], "PONG"],
    [["hello"], "PONG hello"],
    [["a", "b  c", "사용자"], "PONG a b  c 사용자"],
    [["", ""], "PONG  "],
  ] satisfies [string[], string][]) {
    test(`with ${JSON.stringify(args)} is answered ${JSON.stringify(result)}`, () =>
      withCommandListener({}, async ({ logIn }) => {
        assert.equal(ok(await (await logIn()).call("PING", ...args)), result);
      }));
  }
});

describe("SESSION", () => {
  test("has the documented fields, types and values", () =>
    withCommandListener({}, async ({ logIn, clock }) => {
      const client = await logIn();
      clock.advance(1_250);
      const answer = await client.call("SESSION");
      assert.deepEqual(JSON.parse(ok(answer)), {
        created_at: "2040-02-29T12:00:00.000000Z",
        last_accessed_at: "2040-02-29T12:00:01.250000Z",
        session_id: `1-127.0.0.1:${client.socket.localPort}`,
        status: 1,
        user: { Password: "*******", Role: "Admin", Username: "admin" },
      });
      assert.equal(answer.clientId, JSON.parse(answer.result).session_id);
    }));

  test("says since when the caller is here and when it called last", () =>
    withCommandListener({}, async ({ logIn, clock }) => {
      const client = await logIn();
      clock.advance(5_000);
      await client.call("PING");
      clock.advance(2_000);
      // It is a call itself.
      const { created_at, last_accessed_at } = JSON.parse(ok(await client.call("SESSION")));
      assert.equal(created_at, "2040-02-29T12:00:00.000000Z");
      assert.equal(last_accessed_at, "2040-02-29T12:00:07.000000Z");
    }));

  test("shows the role of a User", () =>
    withCommandListener({}, async ({ connect }) => {
      const client = await connect();
      await client.call("auth", "ann", "pass");
      assert.equal(JSON.parse(ok(await client.call("SESSION"))).user.Role, "User");
    }));

  test("with an argument is refused, and the connection stays", () =>
    withCommandListener({}, async ({ logIn }) => {
      const client = await logIn();
      assert.match(error(await client.call("SESSION", "x")), /^InvalidArgumentError: /);
      assert.equal(ok(await client.call("PING")), "PONG");
    }));
});

describe("STATUS", () => {
  test("tells since when the server runs, and the counts it was given", () =>
    withCommandListener({}, async ({ logIn }) => {
      const client = await logIn();
      assert.deepEqual(JSON.parse(ok(await client.call("STATUS"))), {
        server_status: "running",
        up_time: new Date(STARTED_AT).toISOString().replace("Z", "000Z"),
        sessions: 7,
      });
    }));

  test("that breaks inside says nothing of it, and the connection stays", () => {
    const counts = () => {
      throw new Error("no disk");
    };
    return withCommandListener({ counts }, async ({ logIn }) => {
      const client = await logIn();
      assert.equal(error(await client.call("STATUS")), "internal server error");
      assert.equal(ok(await client.call("PING")), "PONG");
    });
  });
});

describe("a command", () => {
  test("may be in upper or lower case", () =>
    withCommandListener({}, async ({ connect }) => {
      const client = await connect();
      assert.equal(ok(await client.call("AuTh", "admin", "secret")), "Connected");
      for (const name of ["ping", "Ping", "PING"])
        assert.equal(ok(await client.call(name)), "PONG");
      for (const name of ["session", "status"]) ok(await client.call(name));
    }));

  for (const name of ["GET", "", "PINGX", "__proto__", "constructor", "ping\n", "사용자"]) {
    test(`that nobody knows is refused, and the connection stays: ${JSON.stringify(name)}`, () =>
      withCommandListener({}, async ({ logIn, metrics }) => {
        const client = await logIn();
        assert.match(error(await client.call(name, "x")), /^InvalidCommandError: /);
        assert.equal(ok(await client.call("PING")), "PONG");
        // A label of its own would let a caller make metrics grow.
        assert.match(await metrics(), /method="unknown",code="INVALID"\} 1\n/);
      }));
  }

  test("of an empty frame has no name", () =>
    withCommandListener({}, async ({ logIn }) => {
      const client = await logIn();
      client.socket.write(frame(Buffer.alloc(0)));
      assert.match(error(await client.receive()), /^InvalidCommandError: /);
      assert.equal(ok(await client.call("PING")), "PONG");
    }));

  test("is counted under its name", () =>
    withCommandListener({}, async ({ logIn, metrics }) => {
      const client = await logIn();
      await client.call("ping");
      await client.call("PING");
      const text = await metrics();
      assert.match(text, /calls_total\{transport="command",method="AUTH",code="OK"\} 1\n/);
      assert.match(text, /calls_total\{transport="command",method="PING",code="OK"\} 2\n/);
    }));
});

describe("commands in one stream", () => {
  test("sent by the hundred are answered in order, from the login on", () =>
    withCommandListener({}, async ({ connect }) => {
      const client = await connect();
      const pings = Array.from({ length: 500 }, (_, index) => request("PING", `${index}`));
      // More than any buffer on the way holds, to wait for the client in between.
      const large = Array.from({ length: 40 }, (_, index) =>
        request("PING", `${index}`, "x".repeat(60_000)),
      );
      client.socket.write(Buffer.concat([request("auth", "admin", "secret"), ...pings, ...large]));
      assert.equal(ok(await client.receive()), "Connected");
      for (const index of pings.keys()) assert.equal(ok(await client.receive()), `PONG ${index}`);
      for (const index of large.keys()) {
        assert.ok(ok(await client.receive()).startsWith(`PONG ${index} xxx`));
      }
    }));

  test("are understood however they are split", () =>
    withCommandListener({}, async ({ connect }) => {
      const stream = Buffer.concat([
        request("auth", "admin", "secret"),
        request("PING", "one"),
        request("PING", "two"),
      ]);
      for (let at = 1; at < stream.length; at++) {
        const client = await connect();
        client.socket.setNoDelay(true).write(stream.subarray(0, at));
        await new Promise(setImmediate);
        client.socket.write(stream.subarray(at));
        const answers = [await client.receive(), await client.receive(), await client.receive()];
        assert.deepEqual(answers.map(ok), ["Connected", "PONG one", "PONG two"], `split at ${at}`);
        client.close();
      }
    }));

  test("are understood byte by byte", () =>
    withCommandListener({}, async ({ logIn }) => {
      const client = await logIn();
      for (const byte of request("PING", "slowly")) {
        client.socket.setNoDelay(true).write(Buffer.of(byte));
        await new Promise(setImmediate);
      }
      assert.equal(ok(await client.receive()), "PONG slowly");
    }));

  test("are all answered to a client that has ended its side", () =>
    withCommandListener({}, async ({ connect }) => {
      const client = await connect();
      client.socket.end(Buffer.concat([request("auth", "admin", "secret"), request("PING")]));
      assert.deepEqual((await client.rest()).map(ok), ["Connected", "PONG"]);
    }));
});

test("a login is answered to a client that has ended its side meanwhile", () => {
  const gate = createGate();
  const authentication = (usual: Authentication): Authentication => ({
    ...usual,
    byPassword: (...args) => gate.opened.then(() => usual.byPassword(...args)),
  });
  return withCommandListener({ authentication }, async ({ connect }) => {
    const client = await connect();
    client.socket.end(request("auth", "admin", "secret"));
    await once(client.socket, "finish");
    // Turns enough for the server to see the end.
    for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate);
    gate.open();
    assert.deepEqual((await client.rest()).map(ok), ["Connected"]);
  });
});

describe("an ended credential", () => {
  test("is refused at the next command, and the connection ends", () =>
    withCommandListener({}, async ({ logIn, accounts, connections }) => {
      const client = await logIn();
      accounts.endCredentials("admin");
      connections.review();
      assert.equal(error(await client.call("PING")), UNAUTHORIZED);
      assert.deepEqual(await client.rest(), []);
    }));

  test("of an ended account ends the connection at once", () =>
    withCommandListener({}, async ({ logIn, accounts, connections }) => {
      const client = await logIn();
      accounts.remove("admin");
      connections.review();
      assert.deepEqual(await client.rest(), []);
    }));
});

test("a caller is listed from its login until its connection ends", () =>
  withCommandListener({}, async ({ connect, logIn, connections }) => {
    await connect();
    assert.deepEqual(connections.list(), []);
    const client = await logIn();
    const [caller] = connections.list();
    assert.equal(caller?.transport, "command");
    assert.equal(caller?.address, `127.0.0.1:${client.socket.localPort}`);
    client.close();
    await eventually("the end of the session", () => connections.list().length === 0);
  }));

test("a caller over IPv6 has its address in brackets", () =>
  withCommandListener({ address: "[::1]:0" }, async ({ logIn, connections }) => {
    const client = await logIn();
    assert.equal(connections.list()[0]?.id, `1-[::1]:${client.socket.localPort}`);
  }));

describe("without authentication", () => {
  for (const args of [[], ["", ""], ["any", "one"]]) {
    test(`AUTH with ${JSON.stringify(args)} is answered Connected`, () =>
      withCommandListener({ auth: "off" }, async ({ connect }) => {
        const client = await connect();
        const answer = await client.call("auth", ...args);
        assert.equal(ok(answer), "Connected");
        assert.equal(answer.clientId, `1-127.0.0.1:${client.socket.localPort}`);
      }));
  }

  test("AUTH is required all the same", () =>
    withCommandListener({ auth: "off" }, async ({ connect }) => {
      const client = await connect();
      assert.equal(error(await client.call("PING")), UNAUTHORIZED);
      assert.deepEqual(await client.rest(), []);
    }));

  for (const [args, name] of [
    [[], ""],
    [["", ""], ""],
    [["ann", "any"], "ann"],
    [["x".repeat(64), "any"], "x".repeat(64)],
    [["x".repeat(65), "any"], ""],
  ] satisfies [string[], string][]) {
    test(`SESSION after AUTH with ${args.length} arguments shows an Admin called ${name}`, () =>
      withCommandListener({ auth: "off" }, async ({ connect, clock }) => {
        const client = await connect();
        const createdAt = new Date(clock.now());
        const { clientId } = await client.call("auth", ...args);
        clock.advance(5_000);
        const session = JSON.parse(ok(await client.call("SESSION")));
        assert.equal(session.session_id, clientId);
        assert.equal(session.status, 1);
        assert.deepEqual(session.user, { Password: "*******", Role: "Admin", Username: name });
        assert.equal(new Date(session.created_at).getTime(), createdAt.getTime());
        assert.equal(new Date(session.last_accessed_at).getTime(), clock.now());
        assert.match(error(await client.call("SESSION", "x")), /^InvalidArgumentError: /);
      }));
  }

  test("the other commands are answered as ever", () =>
    withCommandListener({ auth: "off" }, async ({ connect }) => {
      const client = await connect();
      await client.call("auth");
      assert.equal(ok(await client.call("PING")), "PONG");
      assert.equal(JSON.parse(ok(await client.call("STATUS"))).server_status, "running");
    }));
});

test("no password reaches the log, at any level", () =>
  withCommandListener({}, async ({ connect, logIn, log }) => {
    await logIn();
    await (await connect()).call("auth", "admin", "not-the-password");
    await (await connect()).call("auth", "only-a-password");
    assert.ok(log.length > 0);
    assert.doesNotMatch(log.join(""), /secret|not-the-password|only-a-password/);
  }));

describe("a listener that closes", () => {
  test("answers what has been received, then ends the connections", () => {
    const gate = createGate();
    let asked = 0;
    const authentication = (usual: Authentication): Authentication => ({
      ...usual,
      async byPassword(...args) {
        if (++asked === 2) await gate.opened;
        return usual.byPassword(...args);
      },
    });
    return withCommandListener({ authentication }, async ({ connect, logIn, listener }) => {
      const idle = await logIn();
      const silent = await connect();
      const busy = await connect();
      busy.socket.write(Buffer.concat([request("auth", "admin", "secret"), request("PING")]));
      await eventually("the second login", () => asked === 2);
      const closed = listener.close(5_000);
      assert.deepEqual(await idle.rest(), []);
      assert.deepEqual(await silent.rest(), []);
      gate.open();
      assert.deepEqual((await busy.rest()).map(ok), ["Connected", "PONG"]);
      for (const client of [idle, silent, busy]) client.close();
      await closed;
      await assert.rejects(connect());
    });
  });

  test("answers what has reached the machine unread", () =>
    withCommandListener({}, async ({ logIn, listener }) => {
      const client = await logIn();
      client.socket.write(request("PING"));
      const closed = listener.close(5_000);
      assert.deepEqual((await client.rest()).map(ok), ["PONG"]);
      client.close();
      await closed;
    }));

  test("does not wait long for a client that does not listen", () => {
    const limits = { linger: 10, drain: 60_000, firstCommand: 60_000 };
    return withCommandListener({ limits }, async ({ address, listener }) => {
      const [, port = ""] = address.split(":");
      const deaf = connect({ port: Number(port), host: "127.0.0.1", allowHalfOpen: true });
      await once(deaf, "connect");
      let closed = false;
      listener.close(60_000).then(() => {
        closed = true;
      });
      await eventually("the end of the listener", () => closed);
      deaf.destroy();
    });
  });

  test("cuts after its grace who does not go", () => {
    const forever = () => new Promise<never>(() => {});
    const authentication = (usual: Authentication) => ({ ...usual, byPassword: forever });
    return withCommandListener({ authentication }, async ({ connect, listener }) => {
      const client = await connect();
      client.socket.write(request("auth", "admin", "secret"));
      await new Promise(setImmediate);
      await listener.close(1);
      assert.deepEqual(await client.rest(), []);
    });
  });
});

test("a listener whose address is taken rejects", () =>
  withCommandListener({}, async ({ address }) => {
    await assert.rejects(
      withCommandListener({ address }, async () => {}),
      /EADDRINUSE/,
    );
  }));
