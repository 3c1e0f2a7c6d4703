import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createDevices } from "../../../src/services/sessions/devices.js";

test("a device is named by its browser and its system, as far as they are known", () => {
  const { nameOf } = createDevices();
  for (const [userAgent, name] of [
    [
      "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:126.0) Gecko/20100101 Firefox/126.0",
      "Firefox on Windows",
    ],
    [
      "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36 Edg/124.0.0.0",
      "Microsoft Edge on macOS",
    ],
    [
      "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Mobile Safari/537.36",
      "Chrome on Android",
    ],
    ["MyApp/1.2 (iPad; iOS 17.1; Scale/2.00)", "MyApp on iOS"],
    ["curl/8.5.0", ""],
    ["", ""],
  ] as const) {
    assert.equal(nameOf(userAgent), name);
    assert.equal(nameOf(userAgent), name);
  }
});

test("any user agent has a name, the same each time", () => {
  const { nameOf } = createDevices();
  const part = fc.constantFrom(
    "Mozilla/5.0",
    " (",
    ")",
    "/",
    "Windows NT",
    "Android",
    "Version/",
    ";",
  );
  const userAgent = fc.oneof(
    fc.string({ maxLength: 512, unit: "grapheme" }),
    fc
      .array(fc.oneof(part, fc.string({ maxLength: 8 })), { maxLength: 60 })
      .map((all) => all.join("")),
    fc.constantFrom(
      "__proto__/1.0",
      "constructor",
      "x".repeat(512),
      "/ ".repeat(256),
      "(".repeat(512),
    ),
  );
  fc.assert(
    fc.property(userAgent, (text) => {
      const name = nameOf(text);
      assert.equal(typeof name, "string");
      assert.equal(createDevices().nameOf(text), name);
    }),
    { numRuns: 500 },
  );
});
