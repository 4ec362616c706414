/** The only door to the server: every request has a signal, every failure is an `ApiError`. */

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
    );
  }
}

export interface Options {
  signal: AbortSignal;
  method?: "GET" | "POST" | "PATCH" | "DELETE";
  /** Sent as JSON. */
  json?: unknown;
  headers?: Record<string, string>;
}

/** Sends a request and returns the response once it is a good one. No time limit: streams. */
export async function open(path: string, options: Options): Promise<Response> {
  const { signal, method = "GET", json, headers = {} } = options;
  const init: RequestInit = { method, signal, headers: { Accept: "application/json", ...headers } };
  if (json !== undefined) {
    init.body = JSON.stringify(json);
    init.headers = { ...init.headers, "Content-Type": "application/json" };
  }
  let response: Response;
  try {
    response = await fetch(path, init);
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw ApiError.from(error);
  }
  if (!response.ok) throw ApiError.fromProblem(await problemOf(response), response.status);
  return response;
}

/** Sends a request and reads the JSON of the answer; undefined for an empty one. */
export async function request<T>(path: string, options: Options): Promise<T> {
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(TIMEOUT_MS)]);
  const response = await open(path, { ...options, signal }).catch((error) => {
    throw error instanceof DOMException && error.name === "TimeoutError"
      ? ApiError.from(error)
      : error;
  });
  const text = await response.text();
  return (text ? JSON.parse(text) : undefined) as T;
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
