import { LatchkeyError } from "../error.js";
import { LIMITS } from "../limits.js";

/** What a store keeps of one app. */
export interface AppUsage {
  /** Sessions, those included that are dead and not removed yet. */
  readonly sessions: number;
  /** Bytes of their data as JSON in UTF-8. */
  readonly dataBytes: number;
  /** Bytes of the answers that are kept for repeated calls. */
  readonly answerBytes: number;
}

export const NO_USAGE: AppUsage = { sessions: 0, dataBytes: 0, answerBytes: 0 };

/** What a store keeps at most; Infinity: any number. What is there beyond it stays. */
export interface Quotas {
  /** Apps that the store has something of. */
  readonly apps: number;
  /** Apps that have a policy. */
  readonly policies: number;
  /** The same of each app as `AppUsage` counts. */
  readonly ofApp: AppUsage;
}

/** What the settings leave free. */
export const DEFAULT_QUOTAS: Quotas = {
  apps: LIMITS.apps,
  policies: LIMITS.policies,
  ofApp: { sessions: Infinity, dataBytes: Infinity, answerBytes: Infinity },
};

/** Bytes that a kept answer counts beside its own: its key, its time, and their place in an index. */
const ANSWER_OVERHEAD = 128;

/** What an answer of so many bytes of JSON counts. */
export function answerBytesFor(bytes: number): number {
  return bytes + ANSWER_OVERHEAD;
}

// Each check below throws `limit`, naming the app and the setting.

/** Whether the app may have one more session, with so many bytes of data. */
export function checkCreation(
  app: string,
  usage: AppUsage,
  { ofApp }: Quotas,
  dataBytes: number,
): void {
  if (usage.sessions >= ofApp.sessions) {
    throw full(app, `${ofApp.sessions} sessions`, "LATCHKEY_APP_SESSIONS", END_SOME);
  }
  checkGrowth(app, usage, { ofApp }, dataBytes);
}

/** Whether the data of the app's sessions may grow by so many bytes. */
export function checkGrowth(
  app: string,
  { dataBytes }: AppUsage,
  { ofApp }: Pick<Quotas, "ofApp">,
  growth: number,
): void {
  if (growth <= 0 || dataBytes + growth <= ofApp.dataBytes) return;
  const what = `${mebibytes(ofApp.dataBytes)} of session data`;
  throw full(app, what, "LATCHKEY_APP_DATA_MIB", END_SOME);
}

/** Whether one more answer of the app may be kept. */
export function checkAnswers(app: string, { answerBytes }: AppUsage, { ofApp }: Quotas): void {
  if (answerBytes < ofApp.answerBytes) return;
  const what = `${mebibytes(ofApp.answerBytes)} of answers to calls with a request_id`;
  throw full(
    app,
    what,
    "LATCHKEY_APP_ANSWERS_MIB",
    "leave request_id out, or wait until some are 24 hours old",
  );
}

/** Whether there may be one more app than `apps`. */
export function checkApps(app: string, apps: number, quotas: Quotas): void {
  if (apps < quotas.apps) return;
  throw new LatchkeyError(
    "limit",
    `the app ${app} is new, and there are as many apps as may be (${quotas.apps})`,
  );
}

/** Whether one more app than `policies` may have a policy. */
export function checkPolicies(app: string, policies: number, quotas: Quotas): void {
  if (policies < quotas.policies) return;
  throw new LatchkeyError(
    "limit",
    `the app ${app} has no policy yet, and as many others have one as may (${quotas.policies})`,
  );
}

const END_SOME = "end some first";

function full(app: string, what: string, setting: string, remedy: string): LatchkeyError {
  return new LatchkeyError(
    "limit",
    `the app ${app} has as much as ${setting} allows, ${what}: ${remedy}`,
  );
}

function mebibytes(bytes: number): string {
  return `${bytes / 2 ** 20} MiB`;
}
