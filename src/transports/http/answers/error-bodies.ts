import type { LatchkeyError } from "../../../domain/error.js";

/** A field of the domain by the name that rest-sessions gives it. */
const NAMES: Readonly<Record<string, string>> = {
  user_id: "id",
  idle_ttl: "ttl",
  active_within: "dt",
  data: "d",
};

const KINDS = {
  missing: "missingParameter",
  format: "invalidFormat",
  value: "invalidValue",
} as const;

/** An error as rest-sessions shows it. */
export function errorAnswer(error: LatchkeyError): { name: string; message: string } {
  const { violation } = error;
  if (!violation) return { name: camelCase(error.code), message: error.message };
  const field = NAMES[violation.field] ?? violation.field;
  const messages = {
    missing: `No ${field} supplied`,
    format: `Invalid ${field} format`,
    value:
      violation.field === "idle_ttl" ? error.message.replace("idle_ttl", field) : error.message,
  };
  return { name: KINDS[violation.problem], message: messages[violation.problem] };
}

function camelCase(code: string): string {
  return code.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
}

/** An error as the RKE endpoints show it. */
export function rkeErrorAnswer({ message }: LatchkeyError, status: number) {
  return { error: true, message, code: status };
}
