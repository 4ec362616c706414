import { effect, signal } from "@preact/signals";
import { bodyOf, endSharing, forgetReads, ifNoneMatch, share, shareAhead } from "./reads";
import type { SessionState } from "./types";

/** The only door to the server: every request has a signal, every failure is an `ApiError`. */

const SESSION = "/api/v1/session";

/**
 * Who we are, as the server last said; undefined until it has. Its `csrf` goes with every change,
 * and a 401 to anything takes `user` away.
 */
export const session = signal<SessionState | undefined>(undefined);

/** Whose data the page may hold. */
let last: string | undefined;

effect(() => {
  const now = session.value?.user?.id;
  forgetReads();
  // Somebody else has signed in, in another tab: nothing that one person saw is left for the next.
  if (now && last && now !== last) location.reload();
  if (now || !session.value) last = now;
});

/** RFC 9457 problem details as the server sends them. */
export interface Problem {
  type?: string;
  title?: string;
  status?: number;
  detail?: string;
  code?: string;
  request_id?: string;
  retryable?: boolean;
  retry_after?: number;
}

const TIMEOUT_MS = 30_000;
const GATEWAY_STATUSES = new Set([502, 503, 504]);

export class ApiError extends Error {
  override name = "ApiError";

  constructor(
    /** Stable name of what went wrong; `offline` where no answer came at all. */
    readonly code: string,
    readonly status: number,
    /** The server's own sentence, in English, or "". */
    readonly detail: string,
    readonly retryable: boolean,
    readonly requestId = "",
    /** Seconds to wait before the next try, where the server said so. */
    readonly retryAfter = 0,
  ) {
    super(detail || code);
  }

  static from(error: unknown): ApiError {
    if (error instanceof ApiError) return error;
    if (error instanceof TypeError) return new ApiError("offline", 0, "", true);
    if (error instanceof DOMException && error.name === "TimeoutError") {
      return new ApiError("timeout", 0, "", true);
    }
    return new ApiError("internal_error", 0, String(error), false);
  }

  static fromProblem(problem: Problem, status = problem.status ?? 0): ApiError {
    return new ApiError(
      problem.code ?? "internal_error",
      status,
      problem.detail ?? problem.title ?? "",
      problem.retryable ?? GATEWAY_STATUSES.has(status),
      problem.request_id,
      problem.retry_after,
    );
  }
}

export interface Options {
  signal: AbortSignal;
  method?: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Sent as JSON. */
  json?: unknown;
  headers?: Record<string, string>;
}

/** Sends a request and returns the response once it is a good one. No time limit: streams. */
export async function open(path: string, options: Options): Promise<Response> {
  return withSession(() => send(path, options), options.signal);
}

/** Reads who we are. */
export async function readSession(signal: AbortSignal): Promise<SessionState> {
  const state = await request<SessionState>(SESSION, { signal });
  session.value = state;
  return state;
}

/**
 * Does `attempt`, and once more with a fresh token if the session's was an old one: that of before
 * a sign-in in another tab. Not if that was somebody else's: what one person began, another must
 * not end.
 */
export async function withSession<T>(attempt: () => Promise<T>, signal: AbortSignal): Promise<T> {
  const before = session.peek();
  try {
    return await attempt();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.status === 401) signedOut(error, before);
    if (error.code !== "csrf") throw error;
    const { user } = await readSession(signal);
    if (before && user?.id !== before.user?.id) throw error;
    return attempt();
  }
}

/** A refused sign-in says nothing of the session, nor does an answer to what was asked before it. */
function signedOut(error: ApiError, before: SessionState | undefined): void {
  if (error.code === "wrong_credentials" || !before || before !== session.peek()) return;
  session.value = { ...before, user: null, via: null, csrf: null };
}

/** What a request that changes something carries. */
export function csrfHeader(): Record<string, string> {
  const token = session.peek()?.csrf;
  return token ? { "X-CSRF-Token": token } : {};
}

/** Told how long each request took until its answer began; status 0: none came. */
export const timings: {
  report: (method: string, path: string, millis: number, status: number) => void;
} = { report: () => {} };

async function send(path: string, options: Options): Promise<Response> {
  const { signal, method = "GET", json } = options;
  const headers = { Accept: "application/json", ...options.headers };
  const init: RequestInit = { method, signal, headers };
  if (method !== "GET") {
    Object.assign(headers, csrfHeader());
    endSharing();
  }
  if (json !== undefined) {
    init.body = JSON.stringify(json);
    Object.assign(headers, { "Content-Type": "application/json" });
  }
  let response: Response;
  const began = performance.now();
  const report = (status: number) =>
    timings.report(method, path, performance.now() - began, status);
  try {
    response = await fetch(path, init);
    report(response.status);
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    report(0);
    throw ApiError.from(error);
  } finally {
    // A read that began while this was on its way may have seen either state. What is asked is
    // stored once its answer begins.
    if (method !== "GET") endSharing();
  }
  if (!response.ok && response.status !== 304)
    throw ApiError.fromProblem(await problemOf(response), response.status);
  return response;
}

/** How the page has a person sign in once more; false if they think better of it. */
export const proof: { ask: () => Promise<boolean> } = { ask: async () => false };

/**
 * Sends a request and reads the JSON of the answer; undefined for an empty one. What is only for
 * those who have signed in lately is sent once more after they have.
 */
export async function request<T>(path: string, options: Options): Promise<T> {
  try {
    return await ask<T>(path, options);
  } catch (error) {
    const old = error instanceof ApiError && error.code === "sign_in_again";
    if (!old || !(await proof.ask())) throw error;
    return ask<T>(path, options);
  }
}

function ask<T>(path: string, options: Options): Promise<T> {
  const { signal, method = "GET" } = options;
  if (method !== "GET") return exchange(path, options);
  return share(path, signal, (shared) => read<T>(path, shared));
}

function read<T>(path: string, signal: AbortSignal): Promise<T> {
  return exchange<T>(path, { headers: ifNoneMatch(path), signal });
}

/** Reads what will be asked for if somebody goes where they seem to go. */
export function readAhead(path: string): void {
  shareAhead(path, (signal) => read(path, signal));
}

async function exchange<T>(path: string, options: Options): Promise<T> {
  const { method = "GET" } = options;
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(TIMEOUT_MS)]);
  try {
    const response = await open(path, { ...options, signal });
    if (method === "GET") return await bodyOf<T>(path, response);
    const text = await response.text();
    return (text ? JSON.parse(text) : undefined) as T;
  } catch (error) {
    throw error instanceof DOMException && error.name === "TimeoutError"
      ? ApiError.from(error)
      : error;
  }
}

export async function problemOf(response: Response): Promise<Problem> {
  const kind = response.headers.get("Content-Type") ?? "";
  if (!kind.includes("json")) return {};
  return (await response.json().catch(() => ({}))) as Problem;
}

/** `path?a=1&b=2` without the values that are missing or empty. */
export function withQuery(
  path: string,
  values: Record<string, string | number | undefined>,
): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined && value !== "") query.set(name, String(value));
  }
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}
