import type { MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import {
  type AppPolicySchema,
  AtLimit,
  Binding,
} from "../../../gen/ts/latchkey/session/v1/app_policy_pb.js";
import { invalid } from "../../domain/error.js";
import type { AppPolicy } from "../../domain/sessions/app-policy.js";
import type { PolicyRequest } from "../../services/sessions/app-policies.js";
import { optionalSeconds } from "./messages.js";

const AT_LIMIT = {
  refuse: AtLimit.REFUSE,
  evict_oldest: AtLimit.EVICT_OLDEST,
  evict_least_recently_used: AtLimit.EVICT_LEAST_RECENTLY_USED,
} as const satisfies Record<AppPolicy["atLimit"], AtLimit>;

const BINDING = {
  off: Binding.OFF,
  report: Binding.REPORT,
  end: Binding.END,
} as const satisfies Record<AppPolicy["bindIp"], Binding>;

/** The message of a policy: what is no rule is unset, but every choice is named. */
export function toPolicyMessage(policy: AppPolicy): MessageInitShape<typeof AppPolicySchema> {
  return {
    ...duration("defaultIdleTtl", policy.defaultIdleTtl),
    ...duration("maxIdleTtl", policy.maxIdleTtl),
    ...duration("defaultAbsoluteTtl", policy.defaultAbsoluteTtl),
    ...duration("maxAbsoluteTtl", policy.maxAbsoluteTtl),
    maxSessionsPerUser: policy.maxSessionsPerUser,
    atLimit: AT_LIMIT[policy.atLimit],
    bindIp: BINDING[policy.bindIp],
    bindUserAgent: BINDING[policy.bindUserAgent],
    ...duration("touchInterval", policy.touchInterval || null),
    callerTokens: policy.callerTokens,
  };
}

/** What a message asks for; throws `invalid` naming the field that has no such value. */
export function toPolicyRequest(message: MessageShape<typeof AppPolicySchema>): PolicyRequest {
  return {
    ...optionalSeconds("policy.default_idle_ttl", "defaultIdleTtl", message.defaultIdleTtl),
    ...optionalSeconds("policy.max_idle_ttl", "maxIdleTtl", message.maxIdleTtl),
    ...optionalSeconds(
      "policy.default_absolute_ttl",
      "defaultAbsoluteTtl",
      message.defaultAbsoluteTtl,
    ),
    ...optionalSeconds("policy.max_absolute_ttl", "maxAbsoluteTtl", message.maxAbsoluteTtl),
    maxSessionsPerUser: message.maxSessionsPerUser,
    atLimit: choice("at_limit", AT_LIMIT, message.atLimit, "refuse"),
    bindIp: choice("bind_ip", BINDING, message.bindIp, "off"),
    bindUserAgent: choice("bind_user_agent", BINDING, message.bindUserAgent, "off"),
    ...optionalSeconds("policy.touch_interval", "touchInterval", message.touchInterval),
    callerTokens: message.callerTokens,
  };
}

/** `{ [key]: duration }` of milliseconds, or nothing for null. */
function duration<K extends string>(key: K, milliseconds: number | null) {
  if (milliseconds === null) return {};
  const one = { seconds: BigInt(milliseconds / 1000) };
  return { [key]: one } as { [P in K]?: typeof one };
}

/** The choice that an enum's value stands for; `unspecified` for its 0. */
function choice<T extends string>(
  field: string,
  values: Readonly<Record<T, number>>,
  value: number,
  unspecified: T,
): T {
  if (value === 0) return unspecified;
  for (const name in values) if (values[name] === value) return name;
  const known = Object.values(values).join(", ");
  throw invalid(`policy.${field}`, "value", `policy.${field} must be one of 0, ${known}`);
}
