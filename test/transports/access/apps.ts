import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import { toJson } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import { SessionSchema } from "../../../gen/ts/latchkey/session/v1/session_pb.js";
import { SessionService } from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import type { Guarded } from "../../support/accounts.js";
import { openWire } from "../../support/transports/wires.js";

/** What one has to know, or to guess, to name sessions of an app. */
export interface Names {
  readonly app: string;
  /** The app of the account on trial. */
  readonly own: string;
  readonly userId: string;
  readonly token: string;
  readonly sessionId: string;
  /** Of a listing of the app, and of one of the user. */
  readonly pageToken: string;
  readonly userPageToken: string;
}

/** The Users on trial, each with its app and the apps of others. */
export const USERS = [
  { name: "ann", own: "shop", others: ["forum", "shop-eu"] },
  { name: "bob", own: "shop-eu", others: ["forum", "shop"] },
] as const;

const APPS = ["shop", "shop-eu", "forum"];

/** The apps' sessions as an Admin sees them, by a connection of its own. */
export interface Apps {
  /** Starts two sessions of a user of the app and answers what names them. */
  fill(app: string, own: string): Promise<Names>;
  /** All sessions of all apps, to the last field. */
  sessions(): Promise<unknown[]>;
  close(): void;
}

export function openApps(server: Guarded): Apps {
  const wire = openWire("gRPC", server);
  const client: Client<typeof SessionService> = wire.client(SessionService);
  const headers = { authorization: server.admin.bearer };
  return {
    async fill(app, own) {
      const userId = `${app}-user`;
      await client.createSession({ app, userId }, { headers });
      const { token, session } = await client.createSession({ app, userId }, { headers });
      const page = { app, pageSize: 1 };
      const ofApp = await client.listSessions(page, { headers });
      const ofUser = await client.listUserSessions({ ...page, userId }, { headers });
      for (const { nextPageToken } of [ofApp, ofUser]) assert.notEqual(nextPageToken, "");
      return {
        app,
        own,
        userId,
        token,
        sessionId: session?.sessionId ?? "",
        pageToken: ofApp.nextPageToken,
        userPageToken: ofUser.nextPageToken,
      };
    },
    async sessions() {
      const lists = await Promise.all(APPS.map((app) => client.listSessions({ app }, { headers })));
      return lists.flatMap(({ sessions }) => sessions.map((one) => toJson(SessionSchema, one)));
    },
    close: wire.close,
  };
}

/** Names as well formed as these, of which nothing exists but the app. */
export function unknownNames({ app, own, pageToken, userPageToken }: Names): Names {
  return {
    app,
    own,
    userId: "nobody",
    token: randomBytes(32).toString("hex"),
    sessionId: randomUUID(),
    pageToken: altered(pageToken),
    userPageToken: altered(userPageToken),
  };
}

/** A page token that nobody was given: with another last byte of what is sealed. */
export function altered(pageToken: string): string {
  const bytes = Buffer.from(pageToken, "base64url");
  bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1);
  return bytes.toString("base64url");
}
