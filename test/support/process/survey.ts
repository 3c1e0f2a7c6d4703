import { isDeepStrictEqual } from "node:util";
import Sqlite from "better-sqlite3";
import type { Session } from "../../../gen/ts/latchkey/session/v1/session_pb.js";
import { appUsages } from "../stores/database.js";
import { type GrpcWire, openGrpc } from "./grpc-wire.js";
import { type Checks, contradictions, type Known, type Model } from "./model.js";

export interface Survey {
  /** Every session of the app. */
  readonly found: readonly Session[];
  /** Every way in which the server or its file contradicts the model. */
  readonly problems: readonly string[];
}

/** Compares the model with a server that has no other calls, and with its database file. */
export async function survey(
  server: { readonly grpc: string },
  path: string,
  model: Model,
  checks: Checks = {},
): Promise<Survey> {
  const wire = openGrpc(server.grpc);
  try {
    const found = await wire.list();
    const problems = [
      ...contradictions(model, found, checks),
      ...(await tokenProblems(wire, model)),
      ...(checks.file === false ? [] : fileProblems(path)),
    ];
    return { found, problems };
  } finally {
    wire.close();
  }
}

/** Asks for every session by its token; tokens that are dead for good are not asked for again. */
async function tokenProblems(wire: GrpcWire, model: Model): Promise<string[]> {
  const problems: string[] = [];
  const ask = async ({ name, token, presence }: Known) => {
    const outcome = await wire.peek(token);
    const answer = typeof outcome === "string" ? outcome : `session ${outcome.done.data?.["n"]}`;
    const expected = { there: [name], ended: ["absent"], asked: null, ending: null }[presence];
    if (!(expected ?? [name, "absent"]).includes(answer)) {
      problems.push(`${name}: its token finds ${answer}`);
    }
  };
  const withToken = [...model.values()].filter(({ token }) => token !== "");
  await Promise.all(withToken.map(ask));
  for (const known of withToken) if (known.presence === "ended") known.token = "";
  return problems;
}

/** What is wrong with a database file in itself; a server may be using it. */
export function fileProblems(path: string): string[] {
  const db = new Sqlite(path, { readonly: true, fileMustExist: true });
  try {
    const problems: string[] = [];
    const check = db.pragma("integrity_check", { simple: true });
    if (check !== "ok") problems.push(`the file fails its integrity check: ${check}`);
    const [total, count] = db
      .prepare<[], [number, number]>("SELECT sessions, (SELECT count(*) FROM sessions) FROM totals")
      .raw()
      .get() ?? [0, -1];
    if (total !== count) problems.push(`the file counts ${total} sessions and has ${count}`);
    const { stated, counted } = appUsages(db);
    if (!isDeepStrictEqual(stated, counted)) {
      problems.push(`the file counts ${JSON.stringify(stated)}, has ${JSON.stringify(counted)}`);
    }
    return problems;
  } finally {
    db.close();
  }
}
