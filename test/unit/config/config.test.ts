import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { readConfig } from "../../../src/config/config.js";
import { SETTINGS } from "../../../src/config/settings.js";
import { LatchkeyError } from "../../../src/domain/error.js";

type Env = Record<string, string>;

/** Whether reading is refused as `invalid`, in one line that begins with the culprit. */
function assertRefused(culprit: string, env: Env, flags: Env = {}): string {
  let message = "";
  assert.throws(
    () => readConfig(env, flags),
    (error) => {
      assert.ok(error instanceof LatchkeyError);
      assert.equal(error.code, "invalid");
      assert.ok(error.message.startsWith(`${culprit} `), error.message);
      message = error.message;
      return true;
    },
  );
  return message;
}

test("without settings, the defaults hold", () => {
  assert.deepEqual(readConfig({}), {
    grpc: "127.0.0.1:50051",
    http: "127.0.0.1:8080",
    command: "127.0.0.1:9219",
    auth: "off",
    publicParts: ["health"],
    tls: null,
    httpHosts: [],
    httpOrigins: [],
    trustedProxies: [],
    proxyProtocol: [],
    store: { scheme: "sqlite", path: "./latchkey-data/latchkey.db" },
    connectionLimits: { connections: 8192, perAddress: 4096 },
    commandLimits: { connections: 4096, perAddress: 1024, idle: null },
    drain: 0,
    maxConnectionAge: null,
    turnCalls: 256,
    cacheBytes: 128 * 2 ** 20,
    quotas: {
      apps: 100_000,
      policies: 100_000,
      ofApp: { sessions: Infinity, dataBytes: Infinity, answerBytes: 4_096 * 2 ** 20 },
    },
    rke: {
      maxSessions: 16,
      sessionTtl: 3_600,
      keyCacheTtl: 86_400,
      wallets: null,
      resolvers: [],
      raida: null,
      minShareBytes: 16,
    },
    logLevel: "info",
    warnings: [],
  });
});

test("the table of settings names the defaults that hold", () => {
  const defaults = Object.fromEntries(
    SETTINGS.map(({ variable, fallback }) => [variable, fallback]),
  );
  assert.deepEqual(readConfig(defaults), readConfig({}));
});

test("each variable and each flag is heeded", () => {
  const expected = {
    grpc: null,
    http: "[::1]:0",
    httpHosts: ["sessions.example"],
    httpOrigins: ["https://app.example"],
    trustedProxies: [{ address: "10.0.0.0", prefix: 8 }],
    proxyProtocol: [{ address: "10.1.0.0", prefix: 16 }],
    command: "localhost:9",
    auth: "required",
    publicParts: ["metrics", "reflection"],
    tls: { cert: "a.crt", key: "a.key", clientCa: "ca.crt" },
    store: { scheme: "sqlite", path: "a.db" },
    connectionLimits: { connections: 90, perAddress: 80 },
    commandLimits: { connections: 9, perAddress: 8, idle: 60_000 },
    drain: 9,
    maxConnectionAge: 90_000,
    turnCalls: 7,
    cacheBytes: 64 * 2 ** 20,
    quotas: {
      apps: 100_000,
      policies: 100_000,
      ofApp: { sessions: 1_000, dataBytes: 2 ** 20, answerBytes: Infinity },
    },
    rke: {
      maxSessions: 3,
      sessionTtl: 60,
      keyCacheTtl: 0,
      wallets: "/wallets",
      resolvers: ["192.0.2.53", "[::1]:53"],
      raida: "raida.txt",
      minShareBytes: 32,
    },
    logLevel: "trace",
    warnings: [],
  };
  const values = {
    grpc: "off",
    http: "[::1]:0",
    "http-hosts": "sessions.example",
    "http-origins": "https://app.example",
    "trusted-proxies": "10.0.0.0/8",
    "proxy-protocol": "10.1.0.0/16",
    command: "localhost:9",
    connections: "90",
    "connections-per-address": "80",
    "command-connections": "9",
    "command-per-address": "8",
    "command-idle": "60",
    auth: "required",
    public: "metrics,reflection",
    "tls-cert": "a.crt",
    "tls-key": "a.key",
    "tls-client-ca": "ca.crt",
    store: "sqlite:a.db",
    drain: "9",
    "max-connection-age": "90",
    "turn-calls": "7",
    "cache-mib": "64",
    "app-sessions": "1000",
    "app-data-mib": "1",
    "app-answers-mib": "off",
    "rke-max-sessions": "3",
    "rke-session-ttl": "60",
    "rke-key-cache-ttl": "0",
    "rke-wallets": "/wallets",
    "rke-resolvers": "192.0.2.53,[::1]:53",
    "rke-raida": "raida.txt",
    "rke-min-share-bytes": "32",
    "log-level": "trace",
  };
  const env = Object.fromEntries(
    Object.entries(values).map(([flag, value]) => [
      `LATCHKEY_${flag.toUpperCase().replaceAll("-", "_")}`,
      value,
    ]),
  );
  assert.deepEqual(readConfig(env), expected);
  assert.deepEqual(readConfig({}, values), expected);
});

const REQUIRED = { LATCHKEY_AUTH: "required" };

test("with authentication, listeners may be open, with a warning where there is no TLS", () => {
  const open = { ...REQUIRED, LATCHKEY_GRPC: "0.0.0.0:1", LATCHKEY_COMMAND: "[::]:2" };
  const { grpc, command, warnings } = readConfig(open);
  assert.deepEqual([grpc, command], ["0.0.0.0:1", "[::]:2"]);
  assert.equal(warnings.length, 1);
  assert.match(
    warnings[0] ?? "",
    /^0\.0\.0\.0:1, \[::\]:2 can be reached by others and has no TLS/,
  );
  const tls = { LATCHKEY_TLS_CERT: "a.crt", LATCHKEY_TLS_KEY: "a.key" };
  assert.deepEqual(readConfig({ ...open, ...tls }).warnings, []);
  assert.deepEqual(readConfig(REQUIRED).warnings, []);
});

test("authentication is refused over a store that keeps no accounts", () => {
  assertRefused("LATCHKEY_AUTH", { ...REQUIRED, LATCHKEY_STORE: "memory:" });
});

test("what is neither off nor required, and no part that can be public, is refused", () => {
  for (const text of ["", "on", "REQUIRED", "true"]) {
    assertRefused("LATCHKEY_AUTH", { LATCHKEY_AUTH: text });
  }
  for (const text of ["all", "health,sessions", "*"]) {
    assertRefused("LATCHKEY_PUBLIC", { LATCHKEY_PUBLIC: text });
  }
  assert.deepEqual(readConfig({ LATCHKEY_PUBLIC: "none" }).publicParts, []);
});

test("each file of TLS is refused without those that it needs", () => {
  assertRefused("LATCHKEY_TLS_CERT", { LATCHKEY_TLS_CERT: "a.crt" });
  assertRefused("LATCHKEY_TLS_KEY", { LATCHKEY_TLS_KEY: "a.key" });
  assertRefused("LATCHKEY_TLS_CLIENT_CA", { LATCHKEY_TLS_CLIENT_CA: "ca.crt" });
});

test("a flag wins over its variable, which is then not read", () => {
  const env = { LATCHKEY_HTTP: "nonsense", LATCHKEY_LOG_LEVEL: "error" };
  const { http, logLevel } = readConfig(env, { http: "127.0.0.1:1" });
  assert.deepEqual([http, logLevel], ["127.0.0.1:1", "error"]);
  assertRefused("--http", { LATCHKEY_HTTP: "127.0.0.1:1" }, { http: "nonsense" });
});

test("the configuration cannot be changed", () => {
  assert.ok(Object.isFrozen(readConfig({})));
});

test("an unknown variable of Latchkey is refused, others are ignored", () => {
  const message = assertRefused("LATCHKEY_PORT", { LATCHKEY_PORT: "1" });
  for (const { variable } of SETTINGS) assert.ok(message.includes(variable), variable);
  assertRefused("LATCHKEY_", { LATCHKEY_: "" });
  assert.deepEqual(
    readConfig({ PORT: "1", latchkey_http: "x", MY_LATCHKEY_: "x" }),
    readConfig({}),
  );
});

for (const address of ["127.0.0.1:0", "127.9.8.7:65535", "localhost:80", "[::1]:443"]) {
  test(`${address} is a loopback address, which needs no permission`, () => {
    const { grpc, http } = readConfig({ LATCHKEY_GRPC: address, LATCHKEY_HTTP: address });
    assert.deepEqual([grpc, http], [address, address]);
  });
}

for (const address of [
  "0.0.0.0:80",
  "[::]:80",
  "192.0.2.1:80",
  "sessions.example:80",
  "127.evil.example:80",
]) {
  test(`${address} is refused unless open listeners are allowed`, () => {
    for (const variable of ["LATCHKEY_GRPC", "LATCHKEY_HTTP"]) {
      const message = assertRefused(variable, { [variable]: address });
      assert.match(message, /LATCHKEY_ALLOW_OPEN=true/);
      assertRefused(variable, { [variable]: address, LATCHKEY_ALLOW_OPEN: "false" });
    }
    const open = { LATCHKEY_GRPC: address, LATCHKEY_HTTP: address, LATCHKEY_ALLOW_OPEN: "true" };
    const { grpc, http } = readConfig(open);
    assert.deepEqual([grpc, http], [address, address]);
  });
}

for (const address of [
  "",
  "8080",
  ":8080",
  "127.0.0.1",
  "127.0.0.1:",
  "127.0.0.1:65536",
  "127.0.0.1:-1",
  "127.0.0.1:http",
  "127.0.0.1:80:80",
  "::1:80",
  "[::1]",
  "[localhost]:80",
  "[127.0.0.1]:80",
  "http://127.0.0.1:80",
  " 127.0.0.1:80",
  "127.0.0.1:80\n",
  "OFF",
]) {
  test(`${JSON.stringify(address)} is no address`, () => {
    for (const variable of ["LATCHKEY_GRPC", "LATCHKEY_HTTP"]) {
      assertRefused(variable, { [variable]: address, LATCHKEY_ALLOW_OPEN: "true" });
    }
  });
}

for (const address of [
  "unix:/run/latchkey.sock",
  "unix:a:1",
  "unix:./a,b.sock,mode=660",
  `unix:/${"a".repeat(106)}`,
]) {
  test(`${address} is a socket file, which needs no permission`, () => {
    const { grpc, http } = readConfig({ LATCHKEY_GRPC: address, LATCHKEY_HTTP: address });
    assert.deepEqual([grpc, http], [address, address]);
    const { warnings } = readConfig({ ...REQUIRED, LATCHKEY_HTTP: address });
    assert.deepEqual(warnings, []);
  });
}

test("a socket file has a path that the system takes; the command listener has none", () => {
  for (const address of [
    "unix:",
    "unix:/a\0b",
    `unix:/${"a".repeat(107)}`,
    "unix:/ü".padEnd(112, "ü"),
  ]) {
    for (const variable of ["LATCHKEY_GRPC", "LATCHKEY_HTTP"]) {
      assert.match(assertRefused(variable, { [variable]: address }), /unix:PATH/);
    }
  }
  assertRefused("LATCHKEY_COMMAND", { LATCHKEY_COMMAND: "unix:/run/latchkey.sock" });
});

test("one listener may be off, not both", () => {
  assert.equal(readConfig({ LATCHKEY_GRPC: "off" }).grpc, null);
  assert.equal(readConfig({ LATCHKEY_HTTP: "off" }).http, null);
  assertRefused("LATCHKEY_GRPC and LATCHKEY_HTTP", { LATCHKEY_GRPC: "off", LATCHKEY_HTTP: "off" });
});

test("hosts are names or addresses without ports, in lower case", () => {
  const hosts = (text: string) => readConfig({ LATCHKEY_HTTP_HOSTS: text }).httpHosts;
  assert.deepEqual(hosts("none"), []);
  assert.deepEqual(hosts("Sessions.Example, my_service,192.0.2.1,[2001:DB8::1]"), [
    "sessions.example",
    "my_service",
    "192.0.2.1",
    "[2001:db8::1]",
  ]);
  for (const text of [
    "",
    "*",
    "*.example",
    "a.example,",
    "a.example b.example",
    "a.example:443",
    "http://a.example",
    "::1",
    "[::1]:80",
    "bücher.example",
  ]) {
    const message = assertRefused("LATCHKEY_HTTP_HOSTS", { LATCHKEY_HTTP_HOSTS: text });
    assert.match(message, /without ports/);
  }
});

test("origins are as browsers send them", () => {
  const origins = (text: string) => readConfig({ LATCHKEY_HTTP_ORIGINS: text }).httpOrigins;
  assert.deepEqual(origins("none"), []);
  for (const text of [
    "https://app.example",
    "http://localhost:3000",
    "http://[::1]:3000",
    "https://xn--bcher-kva.example",
    "capacitor://localhost",
    "chrome-extension://abcdefghijklmnop",
  ]) {
    assert.deepEqual(origins(text), [text]);
    assert.deepEqual(origins(`http://a.example, ${text}`), ["http://a.example", text]);
  }
  for (const text of [
    "",
    "null",
    "app.example",
    "https://",
    "https://app.example/",
    "https://app.example/page",
    "https://App.example",
    "https://app.example:443",
    "http://app.example:80",
    "http://127.1",
    "https://*.example",
    "https://me@app.example",
    "https://bücher.example",
    "https://a.example https://b.example",
    "https://a.example,",
  ]) {
    const message = assertRefused("LATCHKEY_HTTP_ORIGINS", { LATCHKEY_HTTP_ORIGINS: text });
    assert.match(message, /as browsers send them/);
  }
});

test("not every origin can be allowed at once", () => {
  for (const text of ["*", "https://app.example,*"]) {
    const message = assertRefused("LATCHKEY_HTTP_ORIGINS", { LATCHKEY_HTTP_ORIGINS: text });
    assert.match(message, /may not be \*/);
  }
});

test("trusted proxies are networks in CIDR, or addresses", () => {
  const networks = (text: string) => readConfig({ LATCHKEY_TRUSTED_PROXIES: text }).trustedProxies;
  assert.deepEqual(networks("none"), []);
  assert.deepEqual(networks("unix:"), ["unix:"]);
  assert.deepEqual(networks("10.0.0.0/8, 192.0.2.7,2001:DB8::/32,::1"), [
    { address: "10.0.0.0", prefix: 8 },
    { address: "192.0.2.7", prefix: 32 },
    { address: "2001:DB8::", prefix: 32 },
    { address: "::1", prefix: 128 },
  ]);
  for (const text of [
    "",
    "*",
    "proxy.example",
    "10.0.0.0/33",
    "10.0.0.0/",
    "10.0.0.0/-1",
    "10.0.0/8",
    "10.0.0.0/255.0.0.0",
    "2001:db8::/129",
    "[2001:db8::]/32",
    "::ffff:10.0.0.0/104",
    "fe80::1%eth0",
    "10.0.0.0/8,",
    "10.0.0.0/8 192.0.2.7",
  ]) {
    const message = assertRefused("LATCHKEY_TRUSTED_PROXIES", { LATCHKEY_TRUSTED_PROXIES: text });
    assert.match(message, /in CIDR/);
  }
});

test("not everybody can be a trusted proxy", () => {
  for (const text of ["0.0.0.0/0", "10.0.0.0/8,::/0"]) {
    const message = assertRefused("LATCHKEY_TRUSTED_PROXIES", { LATCHKEY_TRUSTED_PROXIES: text });
    assert.match(message, /list your proxies/);
  }
});

test("a store is a scheme and what belongs to it", () => {
  const store = (text: string) => readConfig({ LATCHKEY_STORE: text }).store;
  assert.deepEqual(store("sqlite:/var/lib/a:b?.db"), {
    scheme: "sqlite",
    path: "/var/lib/a:b?.db",
  });
  for (const text of [
    "",
    "sqlite:",
    "SQLITE:x",
    "/var/lib/x.db",
    "memory",
    "memory:x",
    "redis://h",
  ]) {
    assertRefused("LATCHKEY_STORE", { LATCHKEY_STORE: text });
  }
});

test("a boolean is true or false, in lower case", () => {
  for (const text of ["", "1", "yes", "TRUE"]) {
    assertRefused("LATCHKEY_ALLOW_OPEN", { LATCHKEY_ALLOW_OPEN: text });
  }
});

test("a log level is one that --help lists", () => {
  const meaning = SETTINGS.find(({ flag }) => flag === "log-level")?.meaning ?? "";
  const levels = meaning.replace(/;.*/, "").split(", ");
  assert.ok(levels.includes("silent"));
  for (const level of levels) {
    assert.equal(readConfig({ LATCHKEY_LOG_LEVEL: level }).logLevel, level);
  }
  for (const text of ["", "INFO", "verbose"]) {
    assertRefused("LATCHKEY_LOG_LEVEL", { LATCHKEY_LOG_LEVEL: text });
  }
});

test("RS_PORT sets the HTTP listener, on loopback, and says so", () => {
  const { http, warnings } = readConfig({ RS_PORT: "3000" });
  assert.equal(http, "127.0.0.1:3000");
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? "", /^RS_PORT .*LATCHKEY_HTTP=0\.0\.0\.0:3000.*LATCHKEY_HTTP_HOSTS/);
});

test("a setting of Latchkey wins over an alias", () => {
  const { http, logLevel, warnings } = readConfig({
    RS_PORT: "nonsense",
    RS_LOGLEVEL: "dev",
    LATCHKEY_HTTP: "127.0.0.1:1",
    LATCHKEY_LOG_LEVEL: "warn",
  });
  assert.deepEqual([http, logLevel, warnings], ["127.0.0.1:1", "warn", []]);
  assert.equal(readConfig({ RS_PORT: "3000" }, { http: "127.0.0.1:2" }).http, "127.0.0.1:2");
});

test("a bad RS_PORT is refused by its name", () => {
  for (const port of ["", "http", "65536", "3000 "]) assertRefused("RS_PORT", { RS_PORT: port });
});

test("RS_LOGLEVEL turns the lines of calls on, unless it is none", () => {
  assert.equal(readConfig({ RS_LOGLEVEL: "dev" }).logLevel, "debug");
  assert.equal(readConfig({ RS_LOGLEVEL: "none" }).logLevel, "info");
});

test("the settings of Redis have no effect but one warning that names them", () => {
  const env = { RS_REDISHOST: "h", RS_REDISPORT: "1", RS_NAMESPACE: "n" };
  const { warnings, ...rest } = readConfig(env);
  const { warnings: none, ...defaults } = readConfig({});
  assert.deepEqual([rest, none], [defaults, []]);
  assert.equal(warnings.length, 1);
  for (const name of Object.keys(env)) assert.ok(warnings[0]?.includes(name), name);
});

test("whatever a setting holds, reading answers or refuses in one line", () => {
  const variables = [...SETTINGS.map(({ variable }) => variable), "RS_PORT", "RS_LOGLEVEL"];
  fc.assert(
    fc.property(
      fc.constantFrom(...variables),
      fc.oneof(fc.string({ unit: "binary" }), fc.stringMatching(/^[a-z0-9:.[\]/\n-]{0,24}$/)),
      (variable, text) => {
        try {
          readConfig({ [variable]: text });
        } catch (error) {
          assert.ok(error instanceof LatchkeyError && error.code === "invalid");
          assert.ok(error.message.startsWith(variable));
          assert.ok(!error.message.includes("\n"), JSON.stringify(error.message));
        }
      },
    ),
  );
});

for (const [variable, good, bad] of [
  ["LATCHKEY_CONNECTIONS", ["10", "100000"], ["9", "100001", "off", ""]],
  ["LATCHKEY_CONNECTIONS_PER_ADDRESS", ["10", "100000"], ["9", "100001", "off", ""]],
  ["LATCHKEY_COMMAND_CONNECTIONS", ["1", "100000"], ["0", "100001", "off", ""]],
  ["LATCHKEY_COMMAND_PER_ADDRESS", ["1", "100000"], ["0", "100001", "off", ""]],
  ["LATCHKEY_COMMAND_IDLE", ["1", "604800", "off"], ["0", "604801", "10m", ""]],
  ["LATCHKEY_APP_SESSIONS", ["1", "1000000000", "off"], ["0", "1000000001", "none", ""]],
  ["LATCHKEY_APP_DATA_MIB", ["1", "16777216", "off"], ["0", "16777217", "1.5", ""]],
  ["LATCHKEY_APP_ANSWERS_MIB", ["1", "16777216", "off"], ["0", "16777217", "1g", ""]],
  ["LATCHKEY_DRAIN", ["0", "600"], ["601", "-1", "5s"]],
  ["LATCHKEY_MAX_CONNECTION_AGE", ["1", "604800", "off"], ["0", "604801", "5m", "1.5"]],
  ["LATCHKEY_TURN_CALLS", ["1", "10000", "off"], ["0", "10001", "none"]],
  ["LATCHKEY_RKE_MAX_SESSIONS", ["1", "1024"], ["0", "1025", "-1", "1.5", "many", ""]],
  ["LATCHKEY_RKE_SESSION_TTL", ["10", "604800"], ["9", "604801", "1h"]],
  ["LATCHKEY_RKE_KEY_CACHE_TTL", ["0", "604800"], ["604801", "off"]],
  ["LATCHKEY_RKE_MIN_SHARE_BYTES", ["1", "64"], ["0", "65"]],
  ["LATCHKEY_RKE_WALLETS", ["none", "wallets", "/a b"], [""]],
  ["LATCHKEY_RKE_RAIDA", ["none", "raida.txt"], [""]],
  [
    "LATCHKEY_RKE_RESOLVERS",
    ["system", "127.0.0.1", "127.0.0.1:5353", "192.0.2.1, 192.0.2.2", "::1", "[::1]", "[::1]:53"],
    [
      "",
      "none",
      "dns.example",
      "127.0.0.1:0",
      "127.0.0.1:65536",
      "127.0.0.1:x",
      "1.2.3",
      "[1.2.3.4]",
    ],
  ],
] as const) {
  test(`${variable} is taken where it is in range, and refused by name elsewhere`, () => {
    for (const text of good) assert.doesNotThrow(() => readConfig({ [variable]: text }), text);
    for (const text of bad) assertRefused(variable, { [variable]: text });
  });
}
