/** Runs inside a browser: what a page does with the client. */
import { Code, createLatchkey, LatchkeyError } from "../src/web.js";

const page = {
  async run(baseUrl: string): Promise<unknown> {
    const latchkey = createLatchkey({ baseUrl });
    const { sessions } = latchkey;
    const app = "shop";
    const { token } = await sessions.createSession({ app, userId: "김하나 😀", data: { n: 1 } });
    const told: (string | undefined)[] = [];
    for await (const { content } of latchkey.watch({ app })) {
      if (content.case !== "progress") told.push(content.case);
      if (content.case === "snapshotEnd") {
        await sessions.updateSession({ app, token, data: { n: 2 } });
      }
      if (content.case === "events") break;
    }
    const { session } = await sessions.getSession({ app, token });
    await sessions.deleteSession({ app, target: { case: "token", value: token } });
    const gone = await sessions.getSession({ app, token }).catch((error: unknown) => error);
    latchkey.close();
    return {
      user: session?.userId,
      data: session?.data,
      told,
      error: gone instanceof LatchkeyError && [Code[gone.code], gone.reason],
    };
  },
  /** How a call fails where no server is. */
  async fail(baseUrl: string): Promise<unknown> {
    const { sessions } = createLatchkey({ baseUrl });
    const error = await sessions.getSession({}).catch((error: unknown) => error);
    return error instanceof LatchkeyError && Code[error.code];
  },
};

Object.assign(globalThis, page);
