import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A certificate and its key, in PEM. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** An authority that signs certificates for `localhost` and 127.0.0.1. Needs openssl. */
export interface Authority {
  readonly cert: string;
  issue(commonName: string): Certificate;
  /** As `issue`, for a whole subject as openssl takes it: `/CN=ann`. */
  issueFor(subject: string): Certificate;
  /** One that no authority signed. */
  selfSigned(commonName: string): Certificate;
  close(): void;
}

export function createAuthority(): Authority {
  const folder = mkdtempSync(join(tmpdir(), "latchkey-certificates-"));
  const file = (name: string) => join(folder, name);
  const openssl = (...args: string[]) => execFileSync("openssl", args, { stdio: "pipe" });
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  openssl(
    ...["req", "-x509", ...newKey, "-days", "2", "-subj", "/CN=the test's authority"],
    ...["-keyout", file("ca.key"), "-out", file("ca.crt")],
  );
  writeFileSync(file("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1");
  const made = () => ({
    cert: readFileSync(file("crt"), "utf8"),
    key: readFileSync(file("key"), "utf8"),
  });
  const issueFor = (subject: string): Certificate => {
    openssl(
      ...["req", "-new", ...newKey, "-subj", subject],
      ...["-keyout", file("key"), "-out", file("csr")],
    );
    openssl(
      ...["x509", "-req", "-in", file("csr"), "-days", "2", "-extfile", file("names")],
      ...["-CA", file("ca.crt"), "-CAkey", file("ca.key"), "-CAcreateserial"],
      ...["-out", file("crt")],
    );
    return made();
  };
  return {
    cert: readFileSync(file("ca.crt"), "utf8"),
    issue: (commonName) => issueFor(`/CN=${commonName}`),
    issueFor,
    selfSigned(commonName) {
      openssl(
        ...["req", "-x509", ...newKey, "-days", "2", "-subj", `/CN=${commonName}`],
        ...["-keyout", file("key"), "-out", file("crt")],
      );
      return made();
    },
    close: () => rmSync(folder, { recursive: true, force: true }),
  };
}
