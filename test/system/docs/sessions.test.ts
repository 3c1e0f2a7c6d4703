import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { startServer, type TestServer } from "../../support/transports/server.js";

const run = promisify(execFile);
const page = new URL("../../../docs/sessions.md", import.meta.url);

/** A section's block for a shell, and what the page says that it prints. */
interface Example {
  readonly title: string;
  readonly script: string;
  readonly output: string;
}

/** The examples of the page, and the block before them that each of them needs. */
function read(): { readonly preamble: string; readonly examples: Example[] } {
  const text = readFileSync(page, "utf8");
  const [intro = "", ...sections] = text.split(/^## /m);
  const examples = sections.flatMap((section) => {
    const [title = ""] = section.split("\n");
    const blocks = blocksOf(section, "sh");
    const outputs = blocksOf(section, "text");
    assert.equal(outputs.length, blocks.length, `each block of "${title}" shows what it prints`);
    return blocks.map((script, index) => ({ title, script, output: outputs[index] ?? "" }));
  });
  return { preamble: blocksOf(intro, "sh").join(""), examples };
}

function blocksOf(text: string, language: string): string[] {
  const pattern = new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``, "g");
  return [...text.matchAll(pattern)].map(([, block = ""]) => block);
}

/** What output matches: `…` is anything, and on a line of its own any lines. */
function matcher(output: string): RegExp {
  const escaped = output.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
  return new RegExp(`^${escaped.replace(/^…\n/gm, "[^]*").replaceAll("…", ".*")}$`);
}

function withoutGrpcurl(): string | false {
  if (process.env["CI"]) return false;
  try {
    execFileSync("which", ["grpcurl"], { stdio: "ignore" });
    return false;
  } catch {
    return "grpcurl is not installed";
  }
}

describe("docs/sessions.md", { skip: withoutGrpcurl() }, () => {
  let server: TestServer;
  before(async () => {
    server = await startServer("sqlite");
  });
  after(() => server.close());
  const { preamble, examples } = read();

  for (const { title, script, output } of examples) {
    test(`"${title}" prints what the page says`, async () => {
      const program = `${preamble}${script}`.replaceAll("localhost:50051", server.grpc);
      const { stdout } = await run("bash", ["-c", `${program}\ntrue`], { timeout: 30_000 });
      assert.match(stdout, matcher(output));
    });
  }
});
