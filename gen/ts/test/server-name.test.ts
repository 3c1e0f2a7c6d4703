import assert from "node:assert/strict";
import { test } from "node:test";
import { serverNameOf } from "../src/server-name.js";

const reverse = (address: string) => serverNameOf(address).channel["grpc.ssl_target_name_override"];

test("TLS names a host by its own name", () => {
  for (const address of ["localhost:50051", "sessions.example", "dns:///sessions.example:443"]) {
    assert.deepEqual(serverNameOf(address), { channel: {}, verify: {} });
  }
});

test("TLS names an address by its reverse name, which may stand in a handshake", () => {
  assert.equal(reverse("192.0.2.7:50051"), "7.2.0.192.in-addr.arpa");
  assert.equal(
    reverse("[2001:db8::1:2]:50051"),
    "2.0.0.0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
  );
  assert.equal(
    reverse("[::ffff:192.0.2.7]:443"),
    "7.0.2.0.0.0.0.c.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa",
  );
});
