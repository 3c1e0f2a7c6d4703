import { execFileSync } from "node:child_process";

function has(tool: string): boolean {
  try {
    execFileSync("which", [tool], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** Why a test that needs these programs cannot run here; in CI it must run. */
export function without(...tools: readonly string[]): string | false {
  const missing = tools.filter((tool) => !has(tool));
  return !process.env["CI"] && missing.length > 0 && `${missing.join(", ")}: not installed`;
}
