import { recall, tell } from "../lib/stored";

/** Has the server draw no hint to connect a model that was dismissed (see pages/chat/welcome.tsx). */
export function followHint(): void {
  if (recall("connect-hint") === "dismissed") tell("hint", "off");
}
