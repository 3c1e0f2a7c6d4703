import type { AddressInfo } from "node:net";

/** Tells the benchmark where a peer listens, as Latchkey tells it in its log. */
export function announce(listener: "http" | "grpc", address: AddressInfo | string | null): void {
  if (typeof address !== "object" || address === null) throw new Error("not on a TCP port");
  const { address: host, port } = address;
  process.stdout.write(`${JSON.stringify({ listener, address: `${host}:${port}` })}\n`);
}
