import bash from "@speed-highlight/core/languages/bash.js";
import c from "@speed-highlight/core/languages/c.js";
import css from "@speed-highlight/core/languages/css.js";
import diff from "@speed-highlight/core/languages/diff.js";
import docker from "@speed-highlight/core/languages/docker.js";
import go from "@speed-highlight/core/languages/go.js";
import html from "@speed-highlight/core/languages/html.js";
import http from "@speed-highlight/core/languages/http.js";
import ini from "@speed-highlight/core/languages/ini.js";
import java from "@speed-highlight/core/languages/java.js";
import js from "@speed-highlight/core/languages/js.js";
import json from "@speed-highlight/core/languages/json.js";
import make from "@speed-highlight/core/languages/make.js";
import md from "@speed-highlight/core/languages/md.js";
import py from "@speed-highlight/core/languages/py.js";
import regex from "@speed-highlight/core/languages/regex.js";
import rs from "@speed-highlight/core/languages/rs.js";
import sql from "@speed-highlight/core/languages/sql.js";
import toml from "@speed-highlight/core/languages/toml.js";
import ts from "@speed-highlight/core/languages/ts.js";
import xml from "@speed-highlight/core/languages/xml.js";
import yaml from "@speed-highlight/core/languages/yaml.js";
import { type ShjLanguageData, tokenizeWith } from "@speed-highlight/core/tokenize";
import type { ComponentChildren } from "preact";

/** 6 KB of brotli; highlight.js with the same languages is 29 KB, and writes HTML. */
const known = {
  ...{ bash, c, css, diff, docker, go, html, http, ini, java, js, json, make, md },
  ...{ py, regex, rs, sql, toml, ts, xml, yaml },
};

type Language = keyof typeof known;
// Its types name as undefined what they say is left out.
const languages = known as object as Record<Language, ShjLanguageData>;

const OTHER_NAMES: Record<string, Language> = {
  ...{ sh: "bash", shell: "bash", zsh: "bash", console: "bash", "c++": "c", cpp: "c", h: "c" },
  ...{ cs: "java", csharp: "java", kotlin: "java", kt: "java", swift: "java", scala: "java" },
  ...{ javascript: "js", jsx: "js", mjs: "js", typescript: "ts", tsx: "ts", svg: "xml" },
  ...{ python: "py", python3: "py", rust: "rs", golang: "go", yml: "yaml", markdown: "md" },
  ...{ patch: "diff", dockerfile: "docker", makefile: "make", conf: "ini", jsonc: "json" },
};

// Longer than any code in an answer: to colour it would take longer than a frame.
const MOST = 30_000;

/** The code with its words as elements of the class of what they are; undefined if it stays plain. */
export function highlight(text: string, name: string): ComponentChildren[] | undefined {
  const wanted = name.toLowerCase();
  const own = Object.hasOwn(languages, wanted) ? (wanted as Language) : undefined;
  const language = own ?? (Object.hasOwn(OTHER_NAMES, wanted) ? OTHER_NAMES[wanted] : undefined);
  if (!language || text.length > MOST) return undefined;
  const parts: ComponentChildren[] = [];
  tokenizeWith(
    text,
    languages[language],
    (part, type) => {
      if (part) parts.push(type ? <span class={`hl-${type}`}>{part}</span> : part);
    },
    { languages },
  );
  return parts;
}
