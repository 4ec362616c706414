/** Has the browser keep what the page needs to open without a network. */
export async function followWorker(): Promise<void> {
  try {
    await navigator.serviceWorker?.register("/sw.js", { updateViaCache: "none" });
  } catch {
    // Not over TLS, or forbidden by the browser's owner: the page then needs a network.
  }
}
