import { effect, type Signal, signal } from "@preact/signals";
import type { ComponentType } from "preact";
import { ApiError } from "../api/client";
import { type Route, route } from "./router";

type Page = Exclude<Route["page"], "missing">;

interface Code {
  default: ComponentType;
  /** Until there is something to show of the address at hand. */
  ready?: () => Promise<void>;
}

const LOADERS: Record<Page, () => Promise<Code>> = {
  chat: () => import(/* webpackChunkName: "chat" */ "../pages/chat"),
  library: () => import(/* webpackChunkName: "library" */ "../pages/library"),
  "sign-in": () => import(/* webpackChunkName: "sign-in" */ "../pages/sign-in"),
  link: () => import(/* webpackChunkName: "link" */ "../pages/link"),
  account: () => import(/* webpackChunkName: "account" */ "../pages/account"),
  people: () => import(/* webpackChunkName: "people" */ "../pages/people"),
  audit: () => import(/* webpackChunkName: "audit" */ "../pages/audit"),
  // What these three share, their words above all, is more than what is different.
  jobs: () => import(/* webpackChunkName: "admin" */ "../pages/admin/jobs"),
  caches: () => import(/* webpackChunkName: "admin" */ "../pages/admin/caches"),
  settings: () => import(/* webpackChunkName: "admin" */ "../pages/admin/settings"),
};

export const PAGES = Object.keys(LOADERS) as Page[];

/** The code of the pages that have been loaded. */
export const pages: Record<Page, Signal<ComponentType | undefined>> = {
  chat: signal(undefined),
  library: signal(undefined),
  "sign-in": signal(undefined),
  link: signal(undefined),
  account: signal(undefined),
  people: signal(undefined),
  audit: signal(undefined),
  jobs: signal(undefined),
  caches: signal(undefined),
  settings: signal(undefined),
};
const waits: { [page in Page]?: () => Promise<void> } = {};
export const failure = signal<ApiError | undefined>(undefined);

/** Loads a page's code, once. Call it when a visit is likely. */
export async function prefetch(page: Page): Promise<void> {
  if (pages[page].peek()) return;
  try {
    const { default: found, ready } = await LOADERS[page]();
    if (ready) waits[page] = ready;
    pages[page].value = found;
    failure.value = undefined;
  } catch {
    // Either the network, or a release that has replaced the files of this one: a reload helps both.
    failure.value = new ApiError("offline", 0, "", true);
  }
}

/** Until a page whose code is here has something to show. */
export async function ready(page: Page): Promise<void> {
  await waits[page]?.();
}

/** Keeps the code of the page at hand loaded. */
export function followRoute(): void {
  effect(() => {
    const { page } = route.value;
    if (page !== "missing") prefetch(page);
  });
}
