import assert from "node:assert/strict";
import { test } from "node:test";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import {
  type CallerSession,
  Listener,
  Role,
} from "../../../gen/ts/latchkey/session/v1/caller_session_pb.js";
import { SessionService } from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { type Guarded, withGuarded } from "../../support/accounts.js";
import { eventually } from "../../support/eventually.js";
import { connectCommand, connectPath, PEERS } from "../../support/peers.js";
import { assertRefused, invalid } from "../../support/transports/case.js";
import { NOW, SECOND } from "../../support/transports/server.js";
import { openWire } from "../../support/transports/wires.js";

/** Runs `body` with a way to list callers as the Admin, by a gRPC connection. */
const withLister = (
  body: (
    server: Guarded,
    list: (page?: { pageSize?: number; pageToken?: string }) => Promise<{
      callers: CallerSession[];
      nextPageToken: string;
    }>,
  ) => Promise<void>,
) =>
  withGuarded(async (server) => {
    const wire = openWire("gRPC", server);
    const options = { headers: { authorization: server.admin.bearer } };
    try {
      await body(server, (page = {}) => wire.client(SessionService).listCallers(page, options));
    } finally {
      wire.close();
    }
  });

const plain = ({ account, role, address, listener, createdAt, lastAccessedAt }: CallerSession) => ({
  account,
  role: Role[role],
  address,
  listener: Listener[listener],
  createdAt: createdAt ? (timestampMs(createdAt) - NOW) / SECOND : Number.NaN,
  lastAccessedAt: lastAccessedAt ? (timestampMs(lastAccessedAt) - NOW) / SECOND : Number.NaN,
});

test("an Admin sees the callers of every listener, since when and when last", () =>
  withLister(async (server, list) => {
    const { ann, bob, clock } = server;
    const grpc = await PEERS.gRPC.connect(server);
    await grpc.call(ann.bearer);
    clock.advance(SECOND);
    const http = await connectPath(server, "GET", "/shop/activity?dt=60");
    await http.call(ann.basic);
    clock.advance(SECOND);
    const command = await connectCommand(server, ann);
    clock.advance(SECOND);
    // Another on a connection that is somebody's already; it is refused, and a caller all the same.
    assert.equal((await http.call(bob.bearer)).status, "403");
    clock.advance(SECOND);
    await command.call("PING");
    await grpc.call(ann.bearer);
    clock.advance(SECOND);
    // Refused for what it has not, which is no access of anybody's.
    await grpc.call();

    const { callers, nextPageToken } = await list();
    assert.equal(nextPageToken, "");
    const own = callers.at(-1);
    assert.deepEqual(callers.map(plain), [
      {
        account: "ann",
        role: "USER",
        address: `127.0.0.1:${grpc.port}`,
        listener: "GRPC",
        createdAt: 0,
        lastAccessedAt: 4,
      },
      {
        account: "ann",
        role: "USER",
        address: `127.0.0.1:${http.port}`,
        listener: "HTTP",
        createdAt: 1,
        lastAccessedAt: 1,
      },
      {
        account: "ann",
        role: "USER",
        address: `127.0.0.1:${command.socket.localPort}`,
        listener: "COMMAND",
        createdAt: 2,
        lastAccessedAt: 4,
      },
      {
        account: "bob",
        role: "USER",
        address: `127.0.0.1:${http.port}`,
        listener: "HTTP",
        createdAt: 3,
        lastAccessedAt: 3,
      },
      {
        account: "admin",
        role: "ADMIN",
        address: own?.address ?? "",
        listener: "GRPC",
        createdAt: 5,
        lastAccessedAt: 5,
      },
    ]);

    for (const close of [grpc.close, http.close, command.close]) close();
    await eventually("the end of their sessions", async () => {
      return (await list()).callers.length === 1;
    });
    assert.deepEqual(
      (await list()).callers.map(({ account }) => account),
      ["admin"],
    );
  }));

test("callers are listed in pages, each once, by whoever asks", () =>
  withLister(async (server, list) => {
    const clients = [];
    for (let n = 0; n < 6; n++) clients.push(await connectCommand(server, server.ann));
    const all = (await list()).callers.map(({ sessionId }) => sessionId);
    assert.equal(all.length, 7);
    const paged: string[] = [];
    let pageToken = "";
    do {
      const page = await list({ pageSize: 2, pageToken });
      assert.ok(page.callers.length <= 2);
      paged.push(...page.callers.map(({ sessionId }) => sessionId));
      pageToken = page.nextPageToken;
      // A caller that has gone takes nobody else from the list.
      if (paged.length === 2) {
        clients[1]?.close();
        await eventually("its end", async () => (await list()).callers.length === 6);
      }
    } while (pageToken !== "");
    assert.deepEqual(paged, all);

    for (const page of [{ pageSize: -1 }, { pageSize: 1001 }]) {
      await assertRefused(list(page), invalid("page_size"));
    }
    for (const wrong of ["x", "-1", "0", "1e3", " 1"]) {
      await assertRefused(list({ pageToken: wrong }), invalid("page_token"), wrong);
    }
    for (const client of clients) client.close();
  }));

test("a session's number is never another's, on any listener", () =>
  withGuarded(async (server) => {
    const { ann, bob } = server;
    const numbers: string[] = [];
    const note = (id: string) => numbers.push(id.split("-")[0] ?? "");
    for (let turn = 0; turn < 3; turn++) {
      const http = await connectPath(server, "GET", "/session");
      for (const { bearer } of [ann, bob]) {
        note(JSON.parse((await http.call(bearer)).text).session_id);
      }
      const command = await connectCommand(server, ann);
      note(JSON.parse((await command.call("SESSION")).result).session_id);
      const grpc = openWire("gRPC", server);
      const options = { headers: { authorization: ann.bearer } };
      const answer = await grpc.client(SessionService).getCurrentSession({}, options);
      note(answer.session?.sessionId ?? "");
      for (const close of [http.close, command.close, grpc.close]) close();
    }
    assert.equal(numbers.length, 12);
    assert.equal(new Set(numbers).size, numbers.length);
  }));
