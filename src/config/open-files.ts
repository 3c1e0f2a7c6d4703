import type { Config, ConnectionLimitSettings } from "./config.js";

/**
 * Open files that no connection may take: the server's own, 46 on Linux, and those that a backup, a
 * look at the TLS files and RKE's sockets need for a while.
 */
const RESERVE = 128;
/** The most of a small limit that is kept so. */
const RESERVE_SHARE = 0.7;

/** Limits that open files have room for. */
export interface FittedLimits extends Pick<Config, "connectionLimits" | "commandLimits"> {
  /** What to tell the operator where that is less than the settings ask for. */
  readonly warning: string | null;
}

/** How many files this process may have open. Node raises its limit as far as the system lets it. */
export function readOpenFiles(): number {
  const { report } = process;
  // Else it looks up the names of peers. The types leave the property out.
  const excludesNetwork: unknown = Reflect.get(report, "excludeNetwork");
  Reflect.set(report, "excludeNetwork", true);
  const { userLimits } = report.getReport() as {
    userLimits?: { open_files?: { soft?: number | string } };
  };
  Reflect.set(report, "excludeNetwork", excludesNetwork);
  const soft = Number(userLimits?.open_files?.soft);
  return Number.isNaN(soft) ? Number.POSITIVE_INFINITY : soft;
}

/** Cuts limits of connections, each by the same part, to what so many open files have room for. */
export function fitLimits(
  config: Pick<Config, "command" | "connectionLimits" | "commandLimits">,
  openFiles: number,
): FittedLimits {
  const room = openFiles - Math.min(RESERVE, Math.floor(openFiles * RESERVE_SHARE));
  const { command, connectionLimits, commandLimits } = config;
  const wanted = connectionLimits.connections + (command === null ? 0 : commandLimits.connections);
  const part = room / wanted;
  if (part >= 1) return { connectionLimits, commandLimits, warning: null };
  const cut = (limit: number) => Math.max(1, Math.floor(limit * part));
  const fit = <L extends ConnectionLimitSettings>(limits: L): L => ({
    ...limits,
    connections: cut(limits.connections),
    perAddress: cut(limits.perAddress),
  });
  const fitted = { connectionLimits: fit(connectionLimits), commandLimits: fit(commandLimits) };
  return {
    ...fitted,
    warning: `the limit of open files, ${openFiles}, has room for ${fitted.connectionLimits.connections} connections of LATCHKEY_CONNECTIONS and ${fitted.commandLimits.connections} of LATCHKEY_COMMAND_CONNECTIONS, and no more are taken: raise it (ulimit -n, LimitNOFILE=)`,
  };
}
