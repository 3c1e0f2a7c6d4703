import type { Case } from "./case.js";
import { batches } from "./cases/batches.js";
import { callersTokens } from "./cases/callers-tokens.js";
import { counting } from "./cases/counting.js";
import { creating } from "./cases/creating.js";
import { data } from "./cases/data.js";
import { devices } from "./cases/devices.js";
import { ending } from "./cases/ending.js";
import { extending } from "./cases/extending.js";
import { fields } from "./cases/fields.js";
import { listing } from "./cases/listing.js";
import { policies } from "./cases/policies.js";
import { reading } from "./cases/reading.js";
import { repeating } from "./cases/repeating.js";
import { rotating } from "./cases/rotating.js";
import { undecodable } from "./cases/undecodable.js";
import { updating } from "./cases/updating.js";

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
