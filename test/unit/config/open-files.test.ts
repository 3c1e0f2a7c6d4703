import assert from "node:assert/strict";
import { test } from "node:test";
import { fitLimits, readOpenFiles } from "../../../src/config/open-files.js";

const LIMITS = {
  command: "127.0.0.1:9219",
  connectionLimits: { connections: 8_000, perAddress: 4_000 },
  commandLimits: { connections: 4_000, perAddress: 1_000, idle: null },
};

test("limits of connections that open files have room for stand", () => {
  const { connectionLimits, commandLimits } = LIMITS;
  const asSet = { connectionLimits, commandLimits, warning: null };
  assert.deepEqual(fitLimits(LIMITS, 12_128), asSet);
  assert.deepEqual(fitLimits(LIMITS, Number.POSITIVE_INFINITY), asSet);
  assert.deepEqual(fitLimits({ ...LIMITS, command: null }, 8_128), asSet);
});

test("others are cut alike, with a reserve for the store and health, and a warning that names the limit", () => {
  const { connectionLimits, commandLimits, warning } = fitLimits(LIMITS, 728);
  assert.deepEqual(connectionLimits, { connections: 400, perAddress: 200 });
  assert.deepEqual(commandLimits, { connections: 200, perAddress: 50, idle: null });
  assert.match(warning ?? "", /^the limit of open files, 728, has room for 400 connections/);
});

test("of few files the server keeps more than it has open itself", () => {
  const { connectionLimits, commandLimits } = fitLimits(LIMITS, 100);
  assert.deepEqual([connectionLimits.connections, commandLimits.connections], [20, 10]);
});

test("the system tells how many files the process may have open", () => {
  assert.ok(readOpenFiles() > 100);
});
