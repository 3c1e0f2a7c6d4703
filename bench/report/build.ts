import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

/** Names the build that Latchkey's rounds run, by its content. */
export async function fingerprintBuild(root: string): Promise<string> {
  const hash = createHash("sha256");
  for (const part of ["dist/src", "dist/gen"]) {
    const files = await readdir(join(root, part), { recursive: true });
    for (const file of files.filter((name) => name.endsWith(".js")).sort()) {
      hash.update(file).update(await readFile(join(root, part, file)));
    }
  }
  return hash.digest("hex").slice(0, 12);
}
