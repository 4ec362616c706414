/**
 * A trace as it would be if no other program had been on the machine: every task of every thread takes
 * the time that it had on a CPU (`tdur`), not the time that passed. What a task holds moves with it.
 * When tasks and requests begin stays as it was, and what the page had to wait for stays in the trace.
 *
 * @param {{traceEvents: object[]}} trace
 */
export function byCpuTime(trace) {
  const threads = Map.groupBy(trace.traceEvents, ({ pid, tid }) => `${pid} ${tid}`);
  for (const events of threads.values()) {
    const timed = events.filter(({ tts }) => tts !== undefined).sort((a, b) => a.ts - b.ts);
    let task; // the outermost one at hand, as it was recorded
    for (const event of timed) {
      if (event.ph === "X" && (!task || event.ts >= task.ts + task.dur)) {
        task = { ts: event.ts, dur: event.dur ?? 0, tts: event.tts, tdur: event.tdur };
      }
      if (!task || task.tdur === undefined || event.ts > task.ts + task.dur) continue;
      const into = Math.min(Math.max(event.tts - task.tts, 0), task.tdur);
      event.ts = task.ts + into;
      if (event.ph === "X") event.dur = Math.min(event.tdur ?? 0, task.tdur - into);
    }
  }
  return trace;
}
