import type { Case } from "../../support/transports/case.js";
import { batches } from "./batches.js";
import { callersTokens } from "./callers-tokens.js";
import { counting } from "./counting.js";
import { creating } from "./creating.js";
import { data } from "./data.js";
import { devices } from "./devices.js";
import { ending } from "./ending.js";
import { extending } from "./extending.js";
import { fields } from "./fields.js";
import { listing } from "./listing.js";
import { policies } from "./policies.js";
import { reading } from "./reading.js";
import { repeating } from "./repeating.js";
import { rotating } from "./rotating.js";
import { undecodable } from "./undecodable.js";
import { updating } from "./updating.js";

/** What SessionService promises, for every typed wire and every store. */
export const CASES: readonly Case[] = [
  ...creating,
  ...reading,
  ...batches,
  ...updating,
  ...extending,
  ...rotating,
  ...repeating,
  ...callersTokens,
  ...ending,
  ...listing,
  ...counting,
  ...devices,
  ...policies,
  ...fields,
  ...data,
  ...undecodable,
];
