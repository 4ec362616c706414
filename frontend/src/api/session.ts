import { request, session } from "./client";
import type { Role, SessionState } from "./types";

/** Signing in and out, and the one-time links that let somebody in. */

const SESSION = "/api/v1/session";
const LINK = "/api/v1/link";

export interface LinkMeaning {
  purpose: "setup" | "invite" | "reset";
  name: string | null;
  email: string | null;
  role: Role | null;
  expires_at: string;
}

export interface Acceptance {
  token: string;
  password: string;
  name?: string;
  email?: string;
}

export async function signIn(email: string, password: string, signal: AbortSignal): Promise<void> {
  const json = { email, password };
  session.value = await request<SessionState>(SESSION, { method: "POST", json, signal });
}

/** Whether a link's token is that of a server without sign-in. */
export const isGuestToken = (token: string) => token.startsWith("lo_guest_");

export async function enterAsGuest(token: string, signal: AbortSignal): Promise<void> {
  const options = { method: "POST", json: { token }, signal } as const;
  session.value = await request<SessionState>(`${SESSION}/guest`, options);
}

export function signOut(signal: AbortSignal) {
  return request<void>(SESSION, { method: "DELETE", signal });
}

export function lookAtLink(token: string, signal: AbortSignal) {
  return request<LinkMeaning>(LINK, { method: "POST", json: { token }, signal });
}

export async function acceptLink(acceptance: Acceptance, signal: AbortSignal): Promise<void> {
  const options = { method: "POST", json: acceptance, signal } as const;
  session.value = await request<SessionState>(`${LINK}/accept`, options);
}

/** Where the browser goes to sign in with the provider. */
export const PROVIDER_ADDRESS = "/api/v1/oidc/start";
