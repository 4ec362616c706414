/** What the browser remembers. Reading and writing fail silently in private windows, by design:
 * a choice that cannot be remembered still works until the page is closed. */

const PREFIX = "likeopt.";

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
