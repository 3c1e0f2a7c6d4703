import { randomBytes } from "node:crypto";
import { fromBinary } from "@bufbuild/protobuf";
import { CommandSchema } from "../../../gen/ts/latchkey/command/v1/command_pb.js";
import { CreateSessionRequestSchema } from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import {
  checkApp,
  checkData,
  checkIp,
  checkRequestId,
  checkSessionId,
  checkToken,
  checkUserAgent,
  checkUserId,
} from "../../../src/domain/limits.js";
import { parseHost } from "../../../src/lib/host.js";
import { networkOf, parseNetwork } from "../../../src/lib/network.js";
import { readCredentials } from "../../../src/services/access/credentials.js";
import { createDevices } from "../../../src/services/sessions/devices.js";
import { createPageTokens } from "../../../src/services/sessions/page-token.js";
import { beginFrames, pushPart } from "../../../src/transports/grpc/http2/frames.js";
import { createHostRule } from "../../../src/transports/http/checks/host-rule.js";
import { pathOf } from "../../../src/transports/http/requests/request-path.js";
import { readData, readSeconds } from "../../../src/transports/http/rest-sessions/input.js";
import { forwardedAddress } from "../../../src/transports/net/forwarded.js";
import { readProxyHeader } from "../../../src/transports/net/proxy-header.js";
import { checkJsonValues, messageValuesCheck } from "../../../src/transports/rpc/message-values.js";

/** What meets bytes of a caller before anything has judged them. */
export interface Parser {
  readonly name: string;
  /** Good inputs, of which others are made. */
  readonly seeds: readonly Buffer[];
  /** Answers, or throws a LatchkeyError. */
  readonly parse: (bytes: Buffer) => unknown;
  /** The libraries' own, whose errors are caught where they are called. */
  readonly mayThrow?: boolean;
}

const texts = (...all: readonly string[]) => all.map((text) => Buffer.from(text, "latin1"));
/** As header fields and paths come. */
const ofText =
  (parse: (text: string) => unknown) =>
  (bytes: Buffer): unknown =>
    parse(bytes.toString("latin1"));

const LISTING = { app: "shop", userId: "", activeWithin: 0, account: "" };
const UUID = "01890a5d-ac96-774b-bcce-b302099a8057";

/** Every parser of the server's own, but those of the key exchange (`npm run fuzz:rke`). */
export function listParsers(): readonly Parser[] {
  const isHost = createHostRule({ boundTo: "0.0.0.0", hosts: ["sessions.example.org"] });
  const pageTokens = createPageTokens(randomBytes);
  const devices = createDevices();
  const checkValues = messageValuesCheck(CreateSessionRequestSchema);
  const forwarded = (name: string) =>
    ofText((text) =>
      forwardedAddress(
        "10.0.0.1",
        (asked) => (asked === name ? text : undefined),
        (ip) => ip.startsWith("10."),
      ),
    );
  const limits = [checkApp, checkToken, checkSessionId, checkUserId, checkIp, checkRequestId];
  return [
    {
      name: "authorization headers",
      seeds: texts("Bearer lk_abc-DEF_123", "Basic YW5uOnNlY3JldA==", "bearer  a.b~c+/=="),
      parse: ofText(readCredentials),
    },
    {
      name: "X-Forwarded-For",
      seeds: texts("192.0.2.1, 10.0.0.2", "[2001:db8::7]:443", "::ffff:192.0.2.1,10.0.0.1:80"),
      parse: forwarded("x-forwarded-for"),
    },
    {
      name: "Forwarded",
      seeds: texts('for="[2001:db8::7]:4711";proto=https', "for=192.0.2.43, for=10.0.0.2;by=_a"),
      parse: forwarded("forwarded"),
    },
    {
      name: "PROXY headers",
      seeds: texts(
        "PROXY TCP4 192.0.2.7 10.0.0.1 50000 443\r\nGET / ",
        "PROXY UNKNOWN\r\n",
        "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\x0a\0\0\x01\xc3\x50\x01\xbb",
      ),
      parse: readProxyHeader,
    },
    {
      name: "Host",
      seeds: texts("localhost:8080", "[::1]:8080", "sessions.example.org", "127.0.0.1"),
      parse: ofText((text) => [isHost(text), parseHost(text)]),
    },
    {
      name: "paths",
      seeds: texts("/shop/get/abc?peek=1", "/livez/", "//readyz?", "http://localhost/ping"),
      parse: ofText(pathOf),
    },
    {
      name: "networks and addresses",
      seeds: texts("192.0.2.0/24", "2001:db8::/32", "unix:", "::ffff:10.0.0.1", "fe80::1%eth0"),
      parse: ofText((text) => [parseNetwork(text), networkOf(text)]),
    },
    {
      name: "user agents",
      seeds: texts(
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 Version/18.5",
        "curl/8.5.0",
      ),
      parse: ofText((text) => devices.nameOf(checkUserAgent(text))),
    },
    {
      name: "names, tokens and ids",
      seeds: texts("shop", "x".repeat(64), UUID, "ann@example.org", "2001:db8::7", "request-1"),
      parse: ofText((text) => {
        for (const check of limits) attempt(() => check(text));
      }),
    },
    {
      name: "page tokens",
      seeds: texts(pageTokens.encode(LISTING, { activeSince: 1, before: 7 })),
      parse: ofText((text) => pageTokens.decode(text, LISTING)),
    },
    {
      name: "seconds",
      seeds: texts("7200", "0", "-1", "1e3", " 60"),
      parse: ofText((text) => readSeconds("ttl", text)),
    },
    {
      name: "data as JSON",
      seeds: texts('{"a":1,"b":"\\u00e9","c":[{},null,1.5e3]}', '{"__proto__":{"x":1}}', "[[[]]]"),
      parse(bytes) {
        checkJsonValues(bytes);
        let value: unknown;
        try {
          value = JSON.parse(bytes.toString());
        } catch {
          return undefined;
        }
        return checkData(readData(value));
      },
    },
    {
      name: "frames of gRPC",
      seeds: texts("\0\0\0\0\x02ab", "\x01\0\0\x10\0abc", "\0\0\0\0\0\0\0\0\0\0"),
      parse(bytes) {
        const frames = beginFrames(true);
        for (let at = 0; at < bytes.length; at += 3) {
          pushPart(frames, bytes.subarray(at, at + 3), 2 ** 20);
        }
      },
    },
    {
      name: "messages",
      seeds: texts(
        "\x0a\x04shop\x12\x03ann\x1a\x0a192.0.2.44",
        "\x2a\x0b\x0a\x09\x0a\x01a\x12\x04\x1a\x02xy",
      ),
      parse(bytes) {
        checkValues(bytes);
        return fromBinary(CreateSessionRequestSchema, bytes);
      },
      mayThrow: true,
    },
    {
      name: "commands",
      seeds: texts("\x0a\x01a\x12\x04AUTH\x1a\x05admin\x1a\x06secret"),
      parse: (bytes) => fromBinary(CommandSchema, bytes),
      mayThrow: true,
    },
  ];
}

/** Each of several checks has its own say. */
function attempt(check: () => unknown): void {
  try {
    check();
  } catch (error) {
    if (!(error instanceof Error) || error.name !== "LatchkeyError") throw error;
  }
}
