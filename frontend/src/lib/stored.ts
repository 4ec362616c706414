/** What the browser remembers. Reading and writing fail silently in private windows, by design:
 * a choice that cannot be remembered still works until the page is closed. */

const PREFIX = "likeopt.";
const A_YEAR_S = 31_536_000;

const memory = (storage: () => Storage) => ({
  recall(name: string): string | null {
    try {
      return storage().getItem(PREFIX + name);
    } catch {
      return null;
    }
  },
  remember(name: string, value: string | null): void {
    try {
      if (value === null) storage().removeItem(PREFIX + name);
      else storage().setItem(PREFIX + name, value);
    } catch {
      // Storage is switched off or full.
    }
  },
});

export const { recall, remember } = memory(() => localStorage);

/** What only this tab remembers, until it is closed or somebody signs out. */
export const inTab = {
  ...memory(() => sessionStorage),
  forget(): void {
    try {
      sessionStorage.clear();
    } catch {
      // As above.
    }
  },
};

/** Tells the server, which draws the page before any script runs; `null`: nothing any more. */
export function tell(name: string, value: string | null): void {
  const age = value === null ? 0 : A_YEAR_S;
  // biome-ignore lint/suspicious/noDocumentCookie: the Cookie Store API needs HTTPS
  document.cookie = `${name}=${value ?? ""}; path=/; max-age=${age}; samesite=lax`;
}
