import type { EndReason } from "../../domain/sessions/end-reason.js";
import { type EventListener, type EventLog, LOG_PERIOD } from "../../domain/sessions/event-log.js";
import type { Session } from "../../domain/sessions/session.js";
import {
  eventOf,
  type SessionEvent,
  type SessionEventType,
} from "../../domain/sessions/session-event.js";

/** Touches are told of this long (ms) after the first of them. */
const TOUCH_DELAY = 500;

/** Events beyond those to keep, by which the log may grow before it is cut. */
const SPARE = 1_000;

/** The most events that one page takes from the log, or passes over. */
const PAGE = 1_000;

/** Since when, and until when, the events of an app are logged. */
interface Watched {
  /** The last revision before the log begins. */
  readonly from: number;
  /** Milliseconds since 1970. */
  readonly until: number;
}

export interface EventLogOptions {
  /** Its first event gets the revision after this. */
  readonly firstRevision: number;
  readonly keptEvents: number;
}

/** The events of a store in memory. */
export function createMemoryEventLog({ firstRevision, keptEvents }: EventLogOptions) {
  const watched = new Map<string, Watched>();
  const touches = new Map<string, Session>();
  let events: SessionEvent[] = [];
  let latest = firstRevision;
  let listener: EventListener | undefined;
  let touchTimer: NodeJS.Timeout | undefined;

  const tellTouches = () => {
    touchTimer = undefined;
    const told = [...touches.values()].map((session) =>
      eventOf(latest, "touched", session, session.lastAccessedAt, null),
    );
    touches.clear();
    listener?.happened(told);
  };

  const eventLog: Omit<EventLog, "watch"> = {
    listen(one) {
      listener = one;
    },
    latest: () => latest,
    read({ app, userId, after }) {
      const from = watched.get(app)?.from;
      const first = latest - events.length;
      if (from === undefined || after < from || after < first || after > latest) return null;
      // Revisions have no gaps, so they are indexes.
      const page = events.slice(after - first, after - first + PAGE);
      return {
        events: page.filter(
          (event) => event.app === app && (userId === undefined || event.userId === userId),
        ),
        revision: after + page.length,
      };
    },
  };

  return {
    eventLog,

    watch(app: string, now: number) {
      const before = watched.get(app);
      const from = before && now < before.until ? before.from : latest;
      watched.set(app, { from, until: now + LOG_PERIOD });
    },

    /** Tells of a change, and logs it; does nothing for an app that is not watched. */
    note(type: SessionEventType, session: Session, now: number, cause: EndReason | null) {
      if (watched.size === 0) return;
      const { app } = session;
      const { until } = watched.get(app) ?? {};
      if (until === undefined) return;
      if (now >= until) {
        watched.delete(app);
        return;
      }
      const event = eventOf(latest + 1, type, session, now, cause);
      latest++;
      events.push(event);
      if (events.length > keptEvents + SPARE) events = events.slice(-keptEvents);
      if (type === "ended") touches.delete(session.id);
      listener?.happened([event]);
    },

    /** Tells of the touch, later and together with others, if anybody wants to know. */
    touched(session: Session) {
      if (!listener?.wantsTouches(session.app)) return;
      touches.set(session.id, session);
      touchTimer ??= setTimeout(tellTouches, TOUCH_DELAY);
    },

    close() {
      clearTimeout(touchTimer);
    },
  };
}
