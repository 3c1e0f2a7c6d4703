/**
 * Writes under way, by the session's id. Apps answer without waiting for what they asked of the store
 * (`req.session.save()`, `req.session.destroy()`): what the process reads after that is to have it.
 */
export function createOrder() {
  const pending = new Map<string, Promise<unknown>>();
  return {
    /** Counts the write as under way until it has ended. */
    write<T>(sid: string, writing: Promise<T>): Promise<T> {
      const all = Promise.allSettled([pending.get(sid), writing]).then(() => {
        if (pending.get(sid) === all) pending.delete(sid);
      });
      pending.set(sid, all);
      return writing;
    },

    /** Settles when the writes that are under way now have ended, however. */
    async settled(sid: string): Promise<void> {
      await pending.get(sid);
    },
  };
}
