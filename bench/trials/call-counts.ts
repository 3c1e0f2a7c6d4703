/** The calls that a server counted: those that ended well, and the others by code. */
export interface CallCounts {
  readonly ok: number;
  readonly others: ReadonlyMap<string, number>;
}

/** Reads `latchkey_calls_total` of one method from a server's `/metrics`. */
export async function countCalls(
  http: string,
  transport: string,
  method: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<CallCounts> {
  const signal = AbortSignal.timeout(10_000);
  const response = await fetch(`${http}/metrics`, { headers, signal });
  if (!response.ok) throw new Error(`/metrics answered ${response.status}`);
  let ok = 0;
  const others = new Map<string, number>();
  for (const line of (await response.text()).split("\n")) {
    const [, labels = "", value = ""] = /^latchkey_calls_total\{(.*)\} (\S+)$/.exec(line) ?? [];
    const label = Object.fromEntries(
      [...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, name = "", text = ""]) => [name, text]),
    );
    if (label["transport"] !== transport || label["method"] !== method) continue;
    if (label["code"] === "OK") ok += Number(value);
    else others.set(label["code"] ?? "", Number(value));
  }
  return { ok, others };
}

/** Throws unless all calls after `before` ended well, `calls` of them at the least. */
export function checkCalls(before: CallCounts, after: CallCounts, calls: number): void {
  const ok = after.ok - before.ok;
  if (ok < calls) throw new Error(`the load tool saw ${calls} calls, /metrics has ${ok} as OK`);
  for (const [code, count] of after.others) {
    // The load tool cuts off the calls in flight when its time is over.
    const grown = count - (before.others.get(code) ?? 0);
    if (grown > 0 && code !== "CANCELLED") throw new Error(`${grown} calls ended as ${code}`);
  }
}
