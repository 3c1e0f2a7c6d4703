import assert from "node:assert/strict";
import { test } from "node:test";
import { pathOf } from "../../../src/transports/http/requests/request-path.js";

for (const [url, path] of [
  ["/livez", "/livez"],
  ["/livez/", "/livez"],
  ["/livez//?x=/", "/livez"],
  ["/livez?", "/livez"],
  ["/livez/x", "/livez/x"],
  ["//livez", "//livez"],
  ["/?/livez", ""],
  ["/", ""],
  ["", ""],
  ["/livez?a?b", "/livez"],
] as const) {
  test(`the path of ${JSON.stringify(url)} is ${JSON.stringify(path)}`, () => {
    assert.equal(pathOf(url), path);
  });
}
