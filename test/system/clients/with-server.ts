/**
 * Runs a command with a server beside it, which needs no credentials:
 *
 *     node --import tsx test/system/clients/with-server.ts COMMAND [ARGUMENT…]
 *
 * The command's environment says where the server is: LATCHKEY_ADDRESS (gRPC) and
 * LATCHKEY_HTTP_ADDRESS, each `host:port`, and with which RKE_DOMAIN and RKE_WALLET it has RKE
 * sessions. Ends with the command, and with its status.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const servers = spawn(process.execPath, ["--import", "tsx", "test/system/clients/servers.ts"], {
  cwd: root,
  stdio: ["pipe", "pipe", "inherit"],
});
const fail = () => process.exit(1);
servers.once("exit", fail);
const [line] = await once(createInterface({ input: servers.stdout }), "line");
servers.off("exit", fail);
const {
  servers: { open },
  rke,
} = JSON.parse(line) as {
  servers: { open: { grpc: string; http: string } };
  rke: { domain: string; walletPath: string };
};

const [command = "", ...args] = process.argv.slice(2);
const program = spawn(command, args, {
  stdio: "inherit",
  env: {
    ...process.env,
    LATCHKEY_ADDRESS: open.grpc,
    LATCHKEY_HTTP_ADDRESS: new URL(open.http).host,
    RKE_DOMAIN: rke.domain,
    RKE_WALLET: rke.walletPath,
  },
});
const [status] = await once(program, "exit");
servers.stdin.end();
process.exitCode = status ?? 1;
