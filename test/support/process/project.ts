import { cp, symlink } from "node:fs/promises";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { makeFolder, ROOT } from "./server.js";

/** What is packed or needed to build, as far as it is there. */
const PARTS =
  /^(package\.json|tsconfig.*\.json|\.npmrc|LICENSE|README\.md|CHANGELOG\.md|src|gen|proto)$/;

/** npm asks nobody for anything. */
export const NPM_ENV = { npm_config_offline: "true", npm_config_update_notifier: "false" };

/**
 * A copy of the project's sources with the same packages installed, so that
 * npm's scripts can build there while other tests use what is built here.
 */
export async function copyProject(t: TestContext): Promise<string> {
  const copy = await makeFolder(t);
  await cp(ROOT, copy, {
    recursive: true,
    filter: (source) => {
      const [part = ""] = source.slice(ROOT.length).split("/");
      return part === "" || PARTS.test(part);
    },
  });
  await symlink(join(ROOT, "node_modules"), join(copy, "node_modules"));
  return copy;
}
