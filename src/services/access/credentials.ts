/** What an `authorization` header holds. */
export type Credentials =
  | { readonly key: string }
  | { readonly name: string; readonly password: string };

const HEADER = /^(bearer|basic) +([A-Za-z0-9._~+/-]+=*) *$/i;

/**
 * Reads `Bearer KEY` (RFC 6750) or `Basic BASE64` (RFC 7617, in UTF-8); null if
 * the header is neither.
 */
export function readCredentials(header: string): Credentials | null {
  const [, scheme = "", value = ""] = HEADER.exec(header) ?? [];
  switch (scheme.toLowerCase()) {
    case "bearer":
      return { key: value };
    case "basic":
      return readBasic(value);
    default:
      return null;
  }
}

function readBasic(base64: string): Credentials | null {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(
      Buffer.from(base64, "base64"),
    );
  } catch {
    return null;
  }
  const colon = text.indexOf(":");
  if (colon < 1) return null;
  return { name: text.slice(0, colon), password: text.slice(colon + 1) };
}
