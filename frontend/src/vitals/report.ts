/** What was measured, on its way to the server: in batches, with a second try, and at the latest
 * when the page is left. Nothing in it says who was there. */

export interface Sample {
  name: "LCP" | "INP" | "CLS" | "FCP" | "TTFB" | "NAV" | "API";
  /** Milliseconds; of CLS its score. */
  value: number;
  page: string;
  way?: "load" | "reload" | "back" | "restore" | "prerender" | "route";
  operation?: string;
  status?: number;
  target?: string;
  parts?: Record<string, number>;
}

const ADDRESS = "/api/v1/metrics";
/** The most that the server takes at a time. */
export const BATCH = 50;
/** A server that is away for long must not fill the memory: the oldest go first. */
export const KEPT = 100;
export const TRIES = 3;
const WAIT_MS = 30_000;
const PHONE_PX = 600;

export class Reporter {
  private queue: Sample[] = [];
  private failures = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private sending = false;

  add(sample: Sample): void {
    this.queue.push({ ...sample, value: Math.round(sample.value * 1000) / 1000 });
    this.queue = this.queue.slice(-KEPT);
    this.timer ??= setTimeout(() => this.send(), WAIT_MS);
    if (this.queue.length >= BATCH) this.send();
  }

  /** Sends a batch while the page is open, and keeps it for another try if that fails. */
  async send(): Promise<void> {
    if (this.sending) return;
    clearTimeout(this.timer);
    this.timer = undefined;
    const batch = this.take();
    if (batch.length === 0) return;
    this.sending = true;
    const sent = await post(batch);
    this.sending = false;
    this.failures = sent ? 0 : this.failures + 1;
    if (!sent && this.failures < TRIES) this.queue = [...batch, ...this.queue].slice(-KEPT);
    if (this.queue.length > 0) this.timer ??= setTimeout(() => this.send(), WAIT_MS);
  }

  /** The page is left or put aside: the browser sends what is there, with nobody waiting. */
  leave(): void {
    for (let batch = this.take(); batch.length > 0; batch = this.take()) {
      const blob = new Blob([bodyOf(batch)], { type: "application/json" });
      if (navigator.sendBeacon(ADDRESS, blob)) continue;
      // More than the browser carries at the moment: perhaps later, if the page comes back.
      this.queue = [...batch, ...this.queue];
      return;
    }
  }

  private take(): Sample[] {
    return this.queue.splice(0, BATCH);
  }
}

/** Whether it need not be sent again: it arrived, or will never be taken. */
async function post(batch: Sample[]): Promise<boolean> {
  try {
    const { status } = await fetch(ADDRESS, {
      method: "POST",
      body: bodyOf(batch),
      headers: { "Content-Type": "application/json" },
      keepalive: true,
      priority: "low",
    });
    return status < 500 && status !== 429;
  } catch {
    return false;
  }
}

function bodyOf(samples: Sample[]): string {
  return JSON.stringify({ screen: innerWidth < PHONE_PX ? "phone" : "desktop", samples });
}
