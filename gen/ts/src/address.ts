/** What an address says: where to connect, and whether by TLS if it says so. */
export interface Address {
  readonly target: string;
  readonly isTls: boolean | undefined;
}

const HOST_AND_PORT = /^(\[[0-9A-Fa-f:.]+(%[\w.-]+)?\]|[^\s:/@?#[\]]+):(\d{1,5})$/;
/** Of gRPC's name resolution. */
const OF_GRPC = /^(dns|unix|unix-abstract|ipv4|ipv6|xds):./;

/**
 * Takes `host:port`, the same as a URL (`http://host:port`; `https:` is TLS), and for gRPC what else
 * its name resolution knows (`dns:`, `unix:`). Throws for anything else, with what is wrong.
 */
export function parseAddress(address: string, transport: "grpc" | "connect"): Address {
  const [, scheme, rest] = /^(https?):\/\/([^/]*)\/?$/i.exec(address) ?? [];
  const target = rest ?? address;
  const isTls = scheme === undefined ? undefined : scheme.toLowerCase() === "https";
  const port = Number(HOST_AND_PORT.exec(target)?.[3]);
  if (port >= 1 && port <= 65_535) return { target, isTls };
  if (transport === "grpc" && scheme === undefined && OF_GRPC.test(address)) {
    return { target, isTls };
  }
  throw new TypeError(
    `the address of Latchkey must be HOST:PORT, such as localhost:50051, not ${JSON.stringify(address)}`,
  );
}
