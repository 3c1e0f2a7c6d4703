import { isIPv4, isIPv6 } from "node:net";

/**
 * The network that stands for one peer: an IPv4 address itself, also where it
 * is written as IPv6 (`::ffff:192.0.2.1`), and the /64 of an IPv6 address, which
 * a single host can have all of. What is no address stands for itself.
 */
export function networkOf(address: string): string {
  const [ip = ""] = address.split("%");
  if (!isIPv6(ip)) return address;
  const groups = groupsOf(ip);
  const isMapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  if (isMapped) {
    return groups
      .slice(6)
      .flatMap((group) => [group >> 8, group & 0xff])
      .join(".");
  }
  const prefix = groups.slice(0, 4).map((group) => group.toString(16));
  return `${prefix.join(":")}::/64`;
}

/** The eight numbers of a valid IPv6 address. */
function groupsOf(ip: string): number[] {
  const [head = [], tail] = ip.split("::").map(partsOf);
  if (!tail) return head;
  const zeros = Array.from({ length: 8 - head.length - tail.length }, () => 0);
  return [...head, ...zeros, ...tail];
}

function partsOf(text: string): number[] {
  if (text === "") return [];
  return text.split(":").flatMap((part) => {
    if (!isIPv4(part)) return [Number.parseInt(part, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = part.split(".").map(Number);
    return [a * 256 + b, c * 256 + d];
  });
}
