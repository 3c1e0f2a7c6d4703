import { isAddress, isLoopback, parseHost } from "../../../lib/host.js";

export interface HostRuleOptions {
  /** What the listener is bound to: a name or an address, IPv6 in brackets. */
  readonly boundTo: string;
  /** Hosts that requests may carry beside those of the machine itself, as `parseHost` answers them. */
  readonly hosts: readonly string[];
}

/** Decides whether the host that a request names, perhaps with a port, is the listener's. */
export function createHostRule({ boundTo, hosts }: HostRuleOptions): (text: string) => boolean {
  const known = new Set([boundTo.toLowerCase(), ...hosts]);
  const isOpen = !isLoopback(boundTo);
  return (text) => {
    const host = parseHost(text);
    if (host === undefined) return false;
    return known.has(host) || isLoopback(host) || (isOpen && isAddress(host));
  };
}
