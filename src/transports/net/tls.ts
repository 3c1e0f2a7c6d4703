import { constants, X509Certificate } from "node:crypto";
import { readFileSync, unwatchFile, watchFile } from "node:fs";
import { createSecureContext, type TlsOptions } from "node:tls";
import { describeFault, LatchkeyError } from "../../domain/error.js";

/** Time (ms) that a peer has for its TLS handshake; Node waits two minutes. */
export const HANDSHAKE_TIMEOUT = 10_000;

/** The files of the settings LATCHKEY_TLS_*. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
  /** Null: callers need no certificate. */
  readonly clientCa: string | null;
}

/** What all listeners give to `tls.createServer`. */
export interface Tls extends TlsOptions {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** How often (ms) the files are looked at: a stat each, which also sees links that were moved. */
const WATCH_INTERVAL = 2_000;

/** Reads the files. Throws `unavailable` with one line that names the file or says what is wrong. */
export function readTls({ cert, key, clientCa }: TlsFiles): Tls {
  const options = {
    cert: read(cert),
    key: read(key),
    minVersion: "TLSv1.2" as const,
    ...(clientCa !== null && {
      ca: read(clientCa),
      requestCert: true,
      rejectUnauthorized: true,
      // A session that is resumed passes for its certificate without another look at that, which
      // may have expired, and each resumption gives the client a new session to resume.
      secureOptions: constants.SSL_OP_NO_TICKET,
    }),
  };
  try {
    createSecureContext(options);
  } catch (cause) {
    const reason = describeFault(cause);
    throw new LatchkeyError(
      "unavailable",
      `${cert} and ${key} are no certificate with its key: ${reason}`,
      { cause },
    );
  }
  if (options.ca) checkAuthority(clientCa, options.ca);
  return options;
}

/** Node passes over what is no certificate, and would then trust nobody. */
function checkAuthority(file: string | null, content: Buffer): void {
  try {
    new X509Certificate(content);
  } catch (cause) {
    const reason = describeFault(cause);
    throw new LatchkeyError("unavailable", `${file} is no certificate in PEM: ${reason}`, {
      cause,
    });
  }
}

function read(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    const reason = describeFault(cause);
    throw new LatchkeyError("unavailable", `cannot read the TLS file ${path}: ${reason}`, {
      cause,
    });
  }
}

/** Calls `onChange` when one of the files has changed, until what it answers is called. */
export function watchTls({ cert, key, clientCa }: TlsFiles, onChange: () => void): () => void {
  const files = [cert, key, ...(clientCa === null ? [] : [clientCa])];
  for (const file of files) {
    watchFile(file, { interval: WATCH_INTERVAL, persistent: false }, onChange);
  }
  return () => {
    for (const file of files) unwatchFile(file, onChange);
  };
}
