import { withGuarded } from "../support/accounts.js";
import type { Scope } from "../support/process/program.js";
import { createAuthority } from "../support/tls/certificates.js";
import { EVERYWHERE, meetInOnePlace, type Person } from "../support/tls/places.js";
import { type Addresses, startTls } from "../support/tls/trial.js";
import { WIRES } from "../support/tls/wires.js";

export interface PlacesOptions {
  readonly meetings: number;
  /** Told of each meeting. */
  readonly met: (meetings: number) => void;
}

/**
 * Has a caller and a stranger connect from one address and port to two addresses of a server, on
 * each listener in turn: half of the times by mutual TLS, and half without TLS. Answers whom the
 * server took for somebody else.
 */
export async function meetOften(
  scope: Scope,
  { meetings, met }: PlacesOptions,
): Promise<readonly string[]> {
  const problems: string[] = [];
  let count = 0;
  const meet = async (addresses: Addresses, pairs: readonly (readonly [Person, Person])[]) => {
    for (let i = 0; i < meetings / 2; i++) {
      const name = WIRES[i % WIRES.length] ?? "grpc";
      const pair = pairs[Math.floor(i / WIRES.length) % pairs.length];
      if (pair) problems.push(...(await meetInOnePlace(name, addresses, pair)));
      met(++count);
    }
  };

  const authority = createAuthority();
  scope.after(() => authority.close());
  const ca = authority.cert;
  const mutual = { ...authority.issue("localhost"), clientCa: ca };
  const ann: Person = { account: "ann", tls: { ca, ...authority.issue("ann") } };
  const bob: Person = { account: "bob", tls: { ca, ...authority.issue("bob") } };
  const nobody = { account: "unauthenticated", tls: { ca, ...authority.issue("nobody") } };
  const { addresses } = await startTls(scope, mutual, EVERYWHERE);
  await meet(addresses, [
    [ann, nobody],
    [nobody, ann],
    [ann, bob],
  ]);

  await withGuarded(async (server) => {
    const { name: account, password, key } = server.ann;
    const caller = { account, sent: { key, login: [account, password] }, tls: null } as const;
    const stranger = { account: "unauthenticated", tls: null };
    await meet(server, [
      [caller, stranger],
      [stranger, caller],
    ]);
  }, EVERYWHERE);
  return problems;
}
