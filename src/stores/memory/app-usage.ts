import { type AppUsage, NO_USAGE } from "../../domain/sessions/quotas.js";

/** How much there is of each app. */
export function createAppUsages() {
  const usages = new Map<string, AppUsage>();

  return {
    of: (app: string): AppUsage => usages.get(app) ?? NO_USAGE,

    /** Apps that there is something of. */
    apps: (): number => usages.size,

    has: (app: string): boolean => usages.has(app),

    /** Adds so much to what there is of the app, or takes it away. */
    add(app: string, by: Partial<AppUsage>): void {
      const { sessions, dataBytes, answerBytes } = usages.get(app) ?? NO_USAGE;
      const usage = {
        sessions: sessions + (by.sessions ?? 0),
        dataBytes: dataBytes + (by.dataBytes ?? 0),
        answerBytes: answerBytes + (by.answerBytes ?? 0),
      };
      if (usage.sessions > 0 || usage.answerBytes > 0) usages.set(app, usage);
      else usages.delete(app);
    },

    clear: () => usages.clear(),
  };
}

export type AppUsages = ReturnType<typeof createAppUsages>;
