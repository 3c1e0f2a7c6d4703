// What this project uses of redis-sessions, which has no types of its own.
declare module "redis-sessions" {
  type Callback = (error: Error | null, answer?: unknown) => void;

  class RedisSessions {
    constructor(options: { namespace?: string; options?: { path: string } });
    create(request: Record<string, unknown>, callback: Callback): void;
    get(request: Record<string, unknown>, callback: Callback): void;
    set(request: Record<string, unknown>, callback: Callback): void;
    activity(request: Record<string, unknown>, callback: Callback): void;
    soapp(request: Record<string, unknown>, callback: Callback): void;
    ping(callback: Callback): void;
  }
  export = RedisSessions;
}
