import { existsSync, readFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type BrowserContext, chromium, type Page } from "playwright-core";

const CHROMIUM = "/usr/bin/chromium";

/** Why no browser can be had here; in CI one must. */
export const NO_BROWSER =
  !process.env["CI"] && !existsSync(CHROMIUM) && `${CHROMIUM} is not installed (Debian: chromium)`;

/** Starts a real browser, headless, to which every name under `.test` is this machine. */
export function launchBrowser() {
  return chromium.launch({
    executablePath: CHROMIUM,
    args: ["--no-sandbox", "--host-resolver-rules=MAP *.test 127.0.0.1"],
  });
}

/** An HTTP server on this machine. */
export interface Stage {
  readonly port: number;
  close(): Promise<void>;
}

export async function openStage(listener: RequestListener): Promise<Stage> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** The page on trial: no more than its script. */
const PAGE = `<!doctype html><title>page</title><body><script>${readFileSync(
  join(import.meta.dirname, "page.js"),
  "utf8",
).replaceAll("</script>", "<\\/script>")}</script>`;

/** Serves the page at every path, and at `/redirect?to=` a redirect to there. */
export function openPages(): Promise<Stage> {
  return openStage(({ url = "" }, answer) => {
    const to = new URL(url, "http://pages").searchParams.get("to");
    if (to !== null) answer.writeHead(302, { location: to }).end();
    else answer.writeHead(200, { "content-type": "text/html" }).end(PAGE);
  });
}

/** What a trick is aimed at: a server's `http://host:port`, and a token of its app `shop`. */
export interface Target {
  readonly base: string;
  readonly token: string;
}

export const tricksOf = (page: Page) => page.evaluate<string[]>("tricks");

/**
 * Plays a trick in the page and answers what the page could read of the server,
 * once every request that the browser then had open is answered.
 */
export async function play(page: Page, name: string, { base, token }: Target): Promise<string> {
  const settled = settle(page.context());
  const text = await page.evaluate<string>(
    `play(${JSON.stringify(name)}, ${JSON.stringify({ base, token })})`,
  );
  await settled();
  return text;
}

/** Watches a profile's requests from here on; what it answers waits until none is open. */
function settle(context: BrowserContext): () => Promise<void> {
  let open = 0;
  let ended = () => {};
  const begin = () => {
    open++;
  };
  const end = () => {
    open--;
    ended();
  };
  context.on("request", begin).on("requestfinished", end).on("requestfailed", end);
  return async () => {
    while (open > 0) {
      await new Promise<void>((resolve) => {
        ended = resolve;
      });
    }
    context.off("request", begin).off("requestfinished", end).off("requestfailed", end);
  };
}
