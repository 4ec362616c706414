/**
 * Runs Lighthouse as a phone would see each page, in a browser that may be signed in.
 *
 * Each run is judged twice: as it was, and by CPU time, which other programs hardly change (`cpu`).
 * Both reckon from a fast load what a slow one would be. A second load is slowed down as it goes, and
 * what it painted when is measured (`applied`).
 *
 * Standard input: {chromium, trusted, cookie, runs, pages: [{name, url, signedIn, seo}]}, where
 * `trusted` names the key of our own certificate. Standard output: one JSON object for each run.
 */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { text } from "node:stream/consumers";
import lighthouse from "lighthouse";
import puppeteer from "puppeteer-core";
import { byCpuTime } from "./cputime.js";

const job = JSON.parse(await text(process.stdin));
const CATEGORIES = ["performance", "accessibility", "best-practices", "seo"];
const METRICS = {
  fcp_ms: "first-contentful-paint",
  lcp_ms: "largest-contentful-paint",
  cls: "cumulative-layout-shift",
  tbt_ms: "total-blocking-time",
  speed_index_ms: "speed-index",
};

async function measure(page, run) {
  return {
    ...(await visit(page, (port, profile) => simulated(page, run, port, profile))),
    // Once a page: it takes as long as the rest, and varies little.
    ...(run === 1 && { applied: await visit(page, (port) => applied(page, port)) }),
  };
}

async function visit(page, judge) {
  // A profile of its own: nothing that an earlier visit left counts, and no page disturbs another.
  const profile = await mkdtemp(path.join(tmpdir(), "lighthouse-"));
  const browser = await puppeteer.launch({
    executablePath: job.chromium,
    userDataDir: profile,
    acceptInsecureCerts: false,
    args: [
      "--no-sandbox",
      "--lang=en-US",
      `--ignore-certificate-errors-spki-list=${job.trusted}`,
    ],
  });
  try {
    if (page.signedIn) await browser.setCookie(job.cookie);
    return await judge(Number(new URL(browser.wsEndpoint()).port), profile);
  } finally {
    await browser.close();
    await rm(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}

async function simulated(page, run, port, profile) {
  const flags = { logLevel: "error", onlyCategories: CATEGORIES, auditMode: path.join(profile, "run") };
  const lhr = await checked(page, { ...flags, port, gatherMode: flags.auditMode });
  if (job.keep) {
    await writeFile(path.join(job.keep, `${page.name}-${run}.json`), JSON.stringify(lhr));
  }
  const file = path.join(flags.auditMode, "trace.json");
  await writeFile(file, JSON.stringify(byCpuTime(JSON.parse(await readFile(file, "utf8")))));
  const again = await lighthouse(page.url, flags);
  if (job.keep) {
    await writeFile(path.join(job.keep, `${page.name}-${run}-cpu.json`), JSON.stringify(again.lhr));
  }
  return { ...summary(page, run, lhr), cpu: figures(again.lhr) };
}

async function applied(page, port) {
  const flags = { logLevel: "error", onlyCategories: ["performance"], throttlingMethod: "devtools" };
  return figures(await checked(page, { ...flags, port }));
}

async function checked(page, flags) {
  const { lhr } = await lighthouse(page.url, flags);
  if (lhr.runtimeError) throw new Error(`${page.name}: ${lhr.runtimeError.message}`);
  return lhr;
}

function figures({ categories, audits }) {
  return {
    performance: Math.round(categories.performance.score * 100),
    ...Object.fromEntries(
      Object.entries(METRICS).map(([name, id]) => [name, audits[id]?.numericValue]),
    ),
  };
}

function summary(page, run, lhr) {
  const { categories, audits, environment, finalDisplayedUrl } = lhr;
  const requests = audits["network-requests"].details.items;
  const failed = CATEGORIES.flatMap((id) =>
    categories[id].auditRefs
      .filter(({ id, weight }) => weight > 0 && (audits[id].score ?? 1) < 0.9)
      .map((ref) => `${id}: ${ref.id}`),
  );
  return {
    page: page.name,
    run,
    ...Object.fromEntries(
      CATEGORIES.map((id) => [id.replace("-", "_"), Math.round(categories[id].score * 100)]),
    ),
    ...figures(lhr),
    bytes: requests.reduce((sum, { transferSize }) => sum + (transferSize ?? 0), 0),
    requests: requests.length,
    benchmark: environment.benchmarkIndex,
    failed,
    address: finalDisplayedUrl,
    urls: requests.map(({ url, transferSize, finished }) => [url, transferSize, finished]),
  };
}

/** On a busy machine the browser now and then starts too late to be recorded. */
async function measured(page, run, tries = 3) {
  try {
    return await measure(page, run);
  } catch (error) {
    if (tries === 1) throw error;
    console.error(`once more: ${error.message}`);
    return measured(page, run, tries - 1);
  }
}

for (let run = 1; run <= job.runs; run++) {
  for (const page of job.pages) {
    process.stdout.write(`${JSON.stringify(await measured(page, run))}\n`);
  }
}
process.exit(0);
