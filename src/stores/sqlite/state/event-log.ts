import type { EndReason } from "../../../domain/sessions/end-reason.js";
import {
  type EventListener,
  type EventLog,
  type EventPage,
  type EventQuery,
  LOG_PERIOD,
  LOG_RENEWAL,
} from "../../../domain/sessions/event-log.js";
import type { Session } from "../../../domain/sessions/session.js";
import {
  type EventSubject,
  eventOf,
  type SessionEvent,
  type SessionEventType,
} from "../../../domain/sessions/session-event.js";
import type { Transaction } from "../commit/commit-queue.js";
import { type TableReads, tableWrites } from "../tables/tables.js";

/** Events that one transaction removes from the log: as many as came since the last removal. */
const PRUNED = 1_000;

/** The most events that one page holds; of a whole app, the most revisions that it passes over. */
const PAGE = 1_000;

/** Whether, and since when, the events of an app are logged. */
interface Watched {
  readonly appId: number;
  /** The last revision before the log begins. */
  readonly from: number;
  /** Milliseconds since 1970. */
  readonly until: number;
  /** Whether the file has it. */
  isDurable: boolean;
}

/**
 * The events of a store. They are numbered in memory as their changes are made, written with
 * them, and told of when both are on disk. The log keeps the
 * last `keptEvents` at least.
 */
export function createEventLog(
  tables: Pick<TableReads, "watchedApps" | "eventBounds" | "eventsOfApp" | "eventsOfUser">,
  keptEvents: number,
) {
  const watched = new Map<string, Watched>();
  for (const one of tables.watchedApps()) watched.set(one.app, { ...one, isDurable: true });
  let { first, last: given } = tables.eventBounds();
  /** The highest revision that is on disk. */
  let latest = given;
  let listener: EventListener | undefined;
  /** Of the batch that is being made. */
  let current: SessionEvent[] = [];

  const add = (transaction: Transaction, event: SessionEvent) => {
    const events = current;
    events.push(event);
    transaction.onRollback(() => events.pop());
  };

  const publish = (events: readonly SessionEvent[]) => {
    for (const { revision } of events) latest = Math.max(latest, revision);
    listener?.happened(events);
  };

  const prune = (transaction: Transaction) => {
    const before = first;
    first += PRUNED;
    transaction.add(tableWrites.pruneEvents(first));
    transaction.onRollback(() => {
      first = before;
    });
  };

  const eventLog = {
    listen(one: EventListener) {
      listener = one;
    },
    latest: () => latest,
    read({ app, userId, after }: EventQuery): EventPage | null {
      const { appId, from } = watched.get(app) ?? {};
      if (appId === undefined || from === undefined) return null;
      if (after < Math.max(from, first - 1) || after > latest) return null;
      if (userId === undefined) {
        const revision = Math.min(after + PAGE, latest);
        return { events: tables.eventsOfApp(app, appId, after, revision), revision };
      }
      const events = tables.eventsOfUser(app, appId, userId, after, latest, PAGE);
      const last = events.length === PAGE ? events.at(-1) : undefined;
      return { events, revision: last?.revision ?? latest };
    },
  } satisfies Omit<EventLog, "watch">;

  return {
    eventLog,

    /** Whether `watch` need not be called for the app at `now`. */
    isWatched(app: string, now: number): boolean {
      const one = watched.get(app);
      return one?.isDurable === true && one.until - now >= LOG_PERIOD - LOG_RENEWAL;
    },

    /** The transaction begins, or prolongs, the log of the app's events. */
    watch(transaction: Transaction, app: string, appId: number, now: number) {
      const before = watched.get(app);
      const from = before && now < before.until ? before.from : given;
      const one: Watched = { appId, from, until: now + LOG_PERIOD, isDurable: false };
      watched.set(app, one);
      transaction.add(tableWrites.watchApp(appId, one));
      transaction.onRollback(() => {
        if (before) watched.set(app, before);
        else watched.delete(app);
      });
      transaction.onCommit(() => {
        one.isDurable = true;
      });
    },

    /** The transaction changes a session; does nothing for an app that is not watched. */
    note(
      transaction: Transaction,
      type: SessionEventType,
      session: EventSubject,
      now: number,
      cause: EndReason | null = null,
    ) {
      if (watched.size === 0) return;
      const one = watched.get(session.app);
      if (!one) return;
      if (now >= one.until) {
        watched.delete(session.app);
        return;
      }
      const event = eventOf(++given, type, session, now, cause);
      transaction.onRollback(() => {
        given--;
      });
      add(transaction, event);
      transaction.add(tableWrites.insertEvent(one.appId, event));
    },

    /** The transaction writes touches of the session, which somebody may want to know. */
    touched(transaction: Transaction, session: Session) {
      if (!listener?.wantsTouches(session.app)) return;
      add(transaction, eventOf(given, "touched", session, session.lastAccessedAt, null));
    },

    /** Ends a batch of writes: its events are told of once it is on disk. */
    seal(transaction: Transaction) {
      if (current.length === 0) return;
      const events = current;
      current = [];
      transaction.onCommit(() => publish(events));
      if (given - first >= keptEvents + PRUNED) prune(transaction);
    },
  };
}
