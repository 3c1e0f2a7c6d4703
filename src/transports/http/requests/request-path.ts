const SLASH = "/".charCodeAt(0);

/**
 * The path of a request's URL: without its query, and without the slashes at its end, which routes
 * ignore. Takes time in proportion to the URL, whatever is in it.
 */
export function pathOf(url: string): string {
  const query = url.indexOf("?");
  let end = query === -1 ? url.length : query;
  while (end > 0 && url.charCodeAt(end - 1) === SLASH) end--;
  return url.slice(0, end);
}
