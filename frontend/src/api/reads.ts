/**
 * What has been read from the server, and what is being read. Answers to lists say `no-store`: the
 * browser keeps nothing of them on its disk, so the page keeps them itself, in memory, and asks
 * with the tag of what it has. The same address asked for twice at once is asked for once.
 */

// A long conversation is some 200 KB: a handful of pages and what they came from.
const MOST = 40;
/** How long after it came what was read ahead may be shown without asking again: from the pointer's
 * coming to rest on a link to the click. */
const AHEAD_MS = 2000;

interface Kept {
  etag: string;
  body: unknown;
}

interface Flight {
  result: Promise<unknown>;
  readers: number;
  end: AbortController;
}

const kept = new Map<string, Kept>();
const flights = new Map<string, Flight>();

/** Somebody else is here now. */
export function forgetReads(): void {
  kept.clear();
  flights.clear();
}

/** Something was changed: what is on its way may have been written before, so nobody joins it. */
export function endSharing(): void {
  flights.clear();
}

/** What a request for `path` carries, if an answer to it is kept. */
export function ifNoneMatch(path: string): Record<string, string> {
  const found = kept.get(path);
  return found ? { "If-None-Match": found.etag } : {};
}

/** The body of a response to `path`: the very object of before where the server says it still is. */
export async function bodyOf<T>(path: string, response: Response): Promise<T> {
  const before = kept.get(path);
  kept.delete(path);
  const text = response.status === 304 ? "" : await response.text();
  if (response.status === 304 && before) {
    kept.set(path, before); // the one used last is forgotten last
    return before.body as T;
  }
  const body = text ? JSON.parse(text) : undefined;
  const etag = response.headers.get("ETag");
  if (etag) kept.set(path, { etag, body });
  const [oldest] = kept.keys();
  if (kept.size > MOST && oldest) kept.delete(oldest);
  return body;
}

/** `read` for all who ask for `path` while it runs; it is aborted once all of them have left. */
export function share<T>(
  path: string,
  signal: AbortSignal,
  read: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  const flight = flights.get(path) ?? begin(path, read);
  flight.readers++;
  return new Promise<T>((resolve, reject) => {
    const leave = () => {
      reject(signal.reason);
      flight.readers--;
      if (flight.readers > 0) return;
      flight.end.abort();
      land(path, flight);
    };
    signal.addEventListener("abort", leave, { once: true });
    flight.result
      .then((value) => resolve(value as T), reject)
      .finally(() => signal.removeEventListener("abort", leave));
  });
}

/** `read` for whoever asks for `path` until a moment after it has come, unless something is changed
 * meanwhile. */
export function shareAhead(path: string, read: (signal: AbortSignal) => Promise<unknown>): void {
  if (flights.has(path)) return;
  begin(path, read, AHEAD_MS).readers++;
}

function begin(path: string, read: (signal: AbortSignal) => Promise<unknown>, holdMs = 0): Flight {
  const end = new AbortController();
  const flight: Flight = { result: read(end.signal), readers: 0, end };
  flights.set(path, flight);
  const done = () => land(path, flight);
  flight.result.then(() => (holdMs ? setTimeout(done, holdMs) : done()), done);
  return flight;
}

function land(path: string, flight: Flight): void {
  if (flights.get(path) === flight) flights.delete(path);
}
