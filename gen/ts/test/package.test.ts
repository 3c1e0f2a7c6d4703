import assert from "node:assert/strict";
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, test } from "node:test";
import { startProgram } from "../../../test/support/process/program.js";
import { copyProject, NPM_ENV } from "../../../test/support/process/project.js";
import { makeFolder, ROOT, startServer } from "../../../test/support/process/server.js";

const server = startServer({ after }, { LATCHKEY_STORE: "memory:" });

/** A program that uses what the package exports, in TypeScript that is JavaScript, too. */
const CONSUMER = `
import { Code, createLatchkey, LatchkeyError } from "latchkey-client";
import { LatchkeyStore } from "latchkey-client/express-session";
import { latchkeyPlugin } from "latchkey-client/fastify";
import { RkeService } from "latchkey-client/rke";
import { SessionService } from "latchkey-client/session";
import { SessionEventType } from "latchkey-client/watch";
import { createLatchkey as createInPage } from "latchkey-client/web";

const latchkey = createLatchkey({ address: process.env["LATCHKEY_ADDRESS"] ?? "" });
const { token } = await latchkey.sessions.createSession({ app: "shop", userId: "ann" });
const { session } = await latchkey.sessions.getSession({ app: "shop", token });
const app = "no";
const failed = await latchkey.sessions.getSession({ app }).catch((error) => error);
new LatchkeyStore({ latchkey, app: "shop" });
console.log(session?.userId, failed instanceof LatchkeyError && Code[failed.code]);
console.log(SessionService.typeName, RkeService.typeName, SessionEventType.ENDED);
console.log(typeof latchkeyPlugin, typeof createInPage);
latchkey.close();
`;

const PRINTED =
  "ann InvalidArgument\nlatchkey.session.v1.SessionService latchkey.rke.v1.RkeService 5\nfunction function\n";

/** The parts that apps use, as CommonJS has them. */
const IN_COMMONJS = `
import client = require("latchkey-client");
import express = require("latchkey-client/express-session");
import fastify = require("latchkey-client/fastify");

const latchkey = client.createLatchkey({ address: "localhost:50051" });
new express.LatchkeyStore({ latchkey, app: "shop" });
const sessions = latchkey.sessions.getSession({ app: "no" }, { timeoutMs: 1 });
sessions.catch((error: unknown) => {
  console.log(typeof express.LatchkeyStore, typeof fastify.latchkeyPlugin, error instanceof client.LatchkeyError);
  latchkey.close();
});
`;

test("npm pack gives a package whose parts and types work where it is installed, and in bundles", async (t) => {
  const copy = await copyProject(t);
  const consumer = await makeFolder(t);
  const run = async (argv: readonly [string, ...string[]], cwd: string) => {
    const env = { ...NPM_ENV, LATCHKEY_ADDRESS: (await server).grpc };
    const program = startProgram(t, { argv, cwd, env, hasChildren: true });
    const { status } = await program.end;
    assert.equal(status, 0, program.output.stderr + program.output.stdout);
    return program.output.stdout;
  };
  const pack = ["npm", "pack", "--silent", "--pack-destination", consumer] as const;
  await run(pack, join(copy, "gen/ts"));
  const installed = join(consumer, "node_modules/latchkey-client");
  await mkdir(installed, { recursive: true });
  const tarball = join(consumer, "latchkey-client-0.1.0.tgz");
  const files = (await run(["tar", "-tzf", tarball], consumer)).trim().split("\n");
  const known =
    /^package\/(dist\/(cjs\/)?(src|latchkey|google)\/|dist\/cjs\/package\.json$|(package\.json|README\.md)$)/;
  assert.deepEqual(
    files.filter((file) => !known.test(file)),
    [],
  );

  // As npm installs it, but with the packages that are installed here.
  await run(["tar", "-xzf", tarball, "--strip-components=1", "-C", installed], consumer);
  await symlink(join(ROOT, "node_modules"), join(installed, "node_modules"));
  await writeFile(join(consumer, "package.json"), '{ "name": "consumer", "type": "module" }');
  await writeFile(join(consumer, "consumer.mjs"), CONSUMER);
  assert.equal(await run([process.execPath, "consumer.mjs"], consumer), PRINTED);

  await writeFile(join(consumer, "consumer.mts"), CONSUMER);
  const options = ["--noEmit", "--strict", "--skipLibCheck", "--target", "es2022"];
  const types = ["--types", "node", "--typeRoots", join(ROOT, "node_modules/@types")];
  const module = ["--module", "nodenext"];
  const tsc = join(ROOT, "node_modules/.bin/tsc");
  await run([tsc, ...options, ...types, ...module, "consumer.mts"], consumer);

  // The same from CommonJS, whose types and code are other files.
  await writeFile(join(consumer, "consumer.cts"), IN_COMMONJS);
  await writeFile(
    join(consumer, "consumer.cjs"),
    IN_COMMONJS.replaceAll(/import (.*) = /g, "const $1 = ").replace(": unknown", ""),
  );
  assert.equal(await run([process.execPath, "consumer.cjs"], consumer), "function function true\n");
  for (const kind of ["node16", "nodenext"]) {
    await run([tsc, ...options, ...types, "--module", kind, "consumer.cts"], consumer);
  }
  const bundler = ["--module", "esnext", "--moduleResolution", "bundler"];
  await run([tsc, ...options, ...types, ...bundler, "consumer.mts"], consumer);

  const esbuild = join(ROOT, "node_modules/.bin/esbuild");
  const bundle = [esbuild, "--bundle", "--platform=node", "--log-level=error"] as const;
  await run([...bundle, "--format=cjs", "--outfile=bundle.cjs", "consumer.cjs"], consumer);
  assert.equal(await run([process.execPath, "bundle.cjs"], consumer), "function function true\n");
  const readme = await readFile(join(ROOT, "gen/ts/README.md"), "utf8");
  const banner = /--banner:js='([^']+)'/.exec(readme)?.[1];
  const asModule = ["--format=esm", `--banner:js=${banner}`, "--outfile=bundle.mjs"];
  await run([...bundle, ...asModule, "consumer.mjs"], consumer);
  assert.equal(await run([process.execPath, "bundle.mjs"], consumer), PRINTED);
});
