/** What can be told of a browser from its User-Agent, in words that a person would use. */
export interface Agent {
  program: string;
  system: string;
}

// Browsers name those before them, so the more particular names come first.
const PROGRAMS: [RegExp, string][] = [
  [/\bEdgA?\//, "Edge"],
  [/\bOPR\//, "Opera"],
  [/\bSamsungBrowser\//, "Samsung Internet"],
  [/\bWhale\//, "Whale"],
  [/\b(Firefox|FxiOS)\//, "Firefox"],
  [/\b(Chrome|CriOS)\//, "Chrome"],
  [/\bVersion\/.*Safari\//, "Safari"],
];
const SYSTEMS: [RegExp, string][] = [
  [/\biPad\b/, "iPad"],
  [/\biPhone\b/, "iPhone"],
  [/\bAndroid\b/, "Android"],
  [/\bWindows\b/, "Windows"],
  [/\bMac OS X\b/, "macOS"],
  [/\bCrOS\b/, "ChromeOS"],
  [/\bLinux\b/, "Linux"],
];

export function readAgent(agent: string): Agent {
  const first = (known: [RegExp, string][]) => known.find(([mark]) => mark.test(agent))?.[1] ?? "";
  // Every browser calls itself Mozilla; what does not is a program, which says its name first.
  const own = agent.startsWith("Mozilla/") ? "" : (agent.split(/[/\s]/)[0] ?? "");
  return { program: first(PROGRAMS) || own, system: first(SYSTEMS) };
}
