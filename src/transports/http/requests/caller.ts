import type { FastifyRequest } from "fastify";
import type { MaybePromise } from "../../../lib/maybe-promise.js";
import type { CallerSession } from "../../../services/access/connections.js";

/** Who made a request; throws or rejects with LatchkeyError. */
export type CallerOf = (request: FastifyRequest) => MaybePromise<CallerSession | null>;
