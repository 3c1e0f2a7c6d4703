import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ROOT } from "../../../test/support/process/server.js";
import { play, type Scenario } from "./play.js";
import { startServers } from "./servers.js";

const { scenarios } = JSON.parse(
  readFileSync(join(ROOT, "test/system/clients/scenarios.json"), "utf8"),
) as { scenarios: Scenario[] };

for (const transport of ["grpc", "connect"] as const) {
  test(`every scenario over ${transport}`, async (t) => {
    const servers = await startServers(t);
    for (const scenario of scenarios) {
      if (scenario.grpcOnly && transport !== "grpc") continue;
      await t.test(scenario.title, () => play(scenario, transport, servers));
    }
  });
}
