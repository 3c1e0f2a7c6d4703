import assert from "node:assert/strict";
import { test } from "node:test";
import type { SessionEvent } from "../../../src/domain/sessions/session-event.js";
import { createEventHub } from "../../../src/services/watches/event-hub.js";
import { hasCode, NOW } from "../../support/stores/fixture.js";

const eventOf = (userId: string, revision: number): SessionEvent => ({
  ...{ revision, type: "updated", app: "shop", userId, version: 1 },
  ...{ sessionId: "019b0000-0000-7000-8000-000000000000", occurredAt: NOW, endReason: null },
});

test("where too many events wait in sum, the subscriber for whom most do is ended", () => {
  let dropped = 0;
  const onDropped = () => {
    dropped++;
  };
  const hub = createEventHub(0, onDropped, 10);
  const subscribe = (userId: string) =>
    hub.subscribe({ app: "shop", userId, includeTouches: false });
  const slow = subscribe("slow");
  const quick = subscribe("quick");
  let revision = 0;
  const tell = (userId: string) => hub.listener.happened([eventOf(userId, ++revision)]);
  for (let n = 0; n < 8; n++) tell("slow");
  for (let n = 0; n < 50; n++) {
    tell("quick");
    assert.equal(quick.take().length, 1);
  }
  assert.equal(dropped, 0, "what was taken waits no more");
  for (let n = 0; n < 3; n++) tell("quick");
  assert.equal(dropped, 1);
  assert.equal(hub.count(), 1);
  assert.throws(() => slow.take(), hasCode("limit"));
  assert.equal(quick.take().length, 3);
  for (let n = 0; n < 10; n++) tell("quick");
  assert.equal(dropped, 1, "what waited for the one that was ended does no more");
  quick.end();
});
