const SAFE = new Set(["http:", "https:", "mailto:"]);

/** The address if a browser may follow it, else undefined. Relative ones would lead into our site. */
export function safeAddress(address: string): string | undefined {
  try {
    const url = new URL(address);
    return SAFE.has(url.protocol) ? url.href : undefined;
  } catch {
    return undefined;
  }
}
