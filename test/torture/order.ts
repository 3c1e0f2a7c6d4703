import type { Timed } from "./trace.js";

export interface OrderReport {
  /** Answers that were looked at, and commits that some of them told of. */
  readonly answers: number;
  readonly commits: number;
  /** Answers that were on their way before what they tell of was synced. */
  readonly problems: readonly string[];
}

/** In an answer and in what the log holds of it: no two writes have the same. */
const MARK = /mark-\d+\./g;

/** A frame of SQLite's log begins with so many bytes, of which four tell whether it ends a
 * transaction, and comes after so many bytes of the log's own. See sqlite.org/fileformat2.html. */
const FRAME_HEADER = 24;
const COMMIT_FIELD = 4;

/**
 * Whether a traced server answered before its log was synced. An answer with a mark must come
 * after a sync that began after the transaction whose pages had that mark first. With
 * `isSequential`, every answer must come when nothing of the log is left to sync: so it is for a
 * client that makes one call at a time.
 */
export function checkOrder(
  steps: readonly Timed[],
  { isSequential }: { readonly isSequential: boolean },
): OrderReport {
  const problems: string[] = [];
  /** Where the transaction that a mark came with was over, and the marks of the present one. */
  const committed = new Map<string, number>();
  const seen = new Set<string>();
  let marks: string[] = [];
  let commits = 0;
  let endsAtNext = false;
  let answers = 0;
  /** Where the latest write to the log was over, and the latest sync that is done had begun. */
  let written = 0;
  let synced = 0;
  const isOfLog = (path: string) => path.endsWith("-wal");
  for (const step of steps) {
    if (step.what === "write" && isOfLog(step.path)) {
      written = step.over;
      for (const [mark] of step.data.toString("latin1").matchAll(MARK)) {
        if (!seen.has(mark)) marks.push(mark);
        seen.add(mark);
      }
      if (step.data.length === FRAME_HEADER) {
        endsAtNext = step.data.readUInt32BE(COMMIT_FIELD) > 0;
      } else if (endsAtNext) {
        for (const mark of marks) committed.set(mark, step.over);
        marks = [];
        endsAtNext = false;
        commits++;
      }
    } else if (step.what === "sync" && isOfLog(step.path) && step.isDone) {
      synced = step.since;
    } else if (step.what === "answer" && step.to.startsWith("TCP")) {
      answers++;
      for (const [mark] of step.data.toString("latin1").matchAll(MARK)) {
        const over = committed.get(mark);
        if (over === undefined)
          problems.push(`line ${step.at}: ${mark} is answered, not committed`);
        else if (synced < over) problems.push(`line ${step.at}: ${mark} is answered, not synced`);
      }
      if (isSequential && synced < written) {
        problems.push(`line ${step.at}: an answer, and the log is not synced`);
      }
    }
  }
  return { answers, commits, problems };
}
