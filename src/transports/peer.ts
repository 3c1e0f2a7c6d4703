/**
 * A peer as `host:port`, IPv6 hosts in brackets, IPv4 ones plain on every kind of socket; null if
 * it has gone already.
 */
export function peerAddress(socket: {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
}): string | null {
  const { remoteAddress, remotePort } = socket;
  if (remoteAddress === undefined || remotePort === undefined) return null;
  // A socket that takes both families shows IPv4 peers so.
  const ip = remoteAddress.replace(/^::ffff:(?=\d+\.)/i, "");
  return ip.includes(":") ? `[${ip}]:${remotePort}` : `${ip}:${remotePort}`;
}
