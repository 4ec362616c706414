/** What the browser remembers. Reading and writing fail silently in private windows, by design:
 * a choice that cannot be remembered still works until the page is closed. */

const PREFIX = "likeopt.";
const A_YEAR_S = 31_536_000;

export function recall(name: string): string | null {
  try {
    return localStorage.getItem(PREFIX + name);
  } catch {
    return null;
  }
}

export function remember(name: string, value: string | null): void {
  try {
    if (value === null) localStorage.removeItem(PREFIX + name);
    else localStorage.setItem(PREFIX + name, value);
  } catch {
    // Storage is switched off or full.
  }
}

/** Tells the server, which draws the page before any script runs; `null`: nothing any more. */
export function tell(name: string, value: string | null): void {
  const age = value === null ? 0 : A_YEAR_S;
  // biome-ignore lint/suspicious/noDocumentCookie: the Cookie Store API needs HTTPS
  document.cookie = `${name}=${value ?? ""}; path=/; max-age=${age}; samesite=lax`;
}
