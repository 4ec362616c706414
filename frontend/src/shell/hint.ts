import { recall } from "../lib/stored";

const A_YEAR_S = 31_536_000;

/** Tells the server, which draws the page before any script runs, that the hint to connect a model
 * was dismissed (see pages/chat/welcome.tsx). */
export function followHint(): void {
  if (recall("connect-hint") !== "dismissed") return;
  // biome-ignore lint/suspicious/noDocumentCookie: the Cookie Store API needs HTTPS
  document.cookie = `hint=off; path=/; max-age=${A_YEAR_S}; samesite=lax`;
}
