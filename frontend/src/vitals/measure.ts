import {
  type MetricWithAttribution,
  onCLS,
  onFCP,
  onINP,
  onLCP,
  onTTFB,
} from "web-vitals/attribution";
import { timings } from "../api/client";
import { changes } from "../app/visit";
import { operationOf, targetOf } from "./names";
import { Reporter, type Sample } from "./report";

/** Of one operation in one batch: polling would crowd out everything else. */
const ALIKE = 5;
const FORGET_MS = 30_000;

const WAYS: Record<MetricWithAttribution["navigationType"], NonNullable<Sample["way"]>> = {
  navigate: "load",
  reload: "reload",
  "back-forward": "back",
  "back-forward-cache": "restore",
  restore: "restore",
  prerender: "prerender",
  "soft-navigation": "route",
};

/** Measures this visit from now on; `page` names the page at hand. */
export function measure(page: () => string): void {
  const reporter = new Reporter();
  // Where the load ended: what comes of it later belongs to that page.
  const first = page();
  const report = (metric: MetricWithAttribution) => {
    const parts = partsOf(metric);
    const target = elementOf(metric);
    reporter.add({
      name: metric.name,
      value: metric.value,
      page: metric.name === "INP" || metric.name === "CLS" ? page() : first,
      way: WAYS[metric.navigationType],
      ...(target && { target }),
      ...(parts && { parts }),
    });
  };
  const options = { generateTarget: targetOf };
  onLCP(report, options);
  onINP(report, options);
  onCLS(report, options);
  onFCP(report);
  onTTFB(report);
  changes.report = (value, to) => reporter.add({ name: "NAV", value, page: to, way: "route" });
  const seen = new Map<string, number>();
  setInterval(() => seen.clear(), FORGET_MS);
  timings.report = (method, path, value, status) => {
    const operation = operationOf(method, path);
    const count = seen.get(operation) ?? 0;
    seen.set(operation, count + 1);
    if (count < ALIKE) reporter.add({ name: "API", value, page: page(), operation, status });
  };
  // On the window and not capturing: after the library, which hands out its last values then.
  addEventListener("visibilitychange", () => {
    if (document.hidden) reporter.leave();
  });
  addEventListener("pagehide", () => reporter.leave());
}

function elementOf(metric: MetricWithAttribution): string | undefined {
  if (metric.name === "LCP") return metric.attribution.target;
  if (metric.name === "INP") return metric.attribution.interactionTarget;
  return metric.name === "CLS" ? metric.attribution.largestShiftTarget : undefined;
}

function partsOf(metric: MetricWithAttribution): Record<string, number> | undefined {
  if (metric.name === "LCP") {
    const { timeToFirstByte, resourceLoadDelay, resourceLoadDuration, elementRenderDelay } =
      metric.attribution;
    return rounded({
      waiting: timeToFirstByte,
      loading: resourceLoadDelay + resourceLoadDuration,
      rendering: elementRenderDelay,
    });
  }
  if (metric.name !== "INP") return undefined;
  const { inputDelay, processingDuration, presentationDelay } = metric.attribution;
  return rounded({
    input: inputDelay,
    processing: processingDuration,
    presentation: presentationDelay,
  });
}

function rounded(parts: Record<string, number>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(parts).map(([name, value]) => [name, Math.max(0, Math.round(value * 10) / 10)]),
  );
}
