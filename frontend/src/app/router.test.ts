import { effect } from "@preact/signals";
import { expect, test } from "vitest";
import { ADMIN_PAGES, followLinks, match, navigate, query, route, takeFragment } from "./router";

const ID = "0123456789abcdef0123456789abcdef";

test("addresses name pages, and nothing else does", () => {
  expect(match("/")).toEqual({ page: "chat", conversation: null });
  expect(match(`/c/${ID}`)).toEqual({ page: "chat", conversation: ID });
  expect(match("/library")).toEqual({ page: "library", document: null });
  expect(match(`/library/${ID}`)).toEqual({ page: "library", document: ID });
  for (const page of ["sign-in", "link", "account"]) {
    expect(match(`/${page}`)).toEqual({ page });
    expect(match(`/${page}/x`)).toEqual({ page: "missing" });
  }
  expect(match("/admin")).toEqual({ page: "jobs" });
  for (const page of ADMIN_PAGES) {
    expect(match(`/admin/${page}`)).toEqual({ page });
    expect(match(`/${page}`)).toEqual({ page: "missing" });
  }
  for (const path of [
    "/c/",
    "/c/1",
    `/c/${ID}/x`,
    "/library/..",
    "/library//",
    "/admin/x",
    "/api/v1/info",
  ]) {
    expect(match(path), path).toEqual({ page: "missing" });
  }
});

test("a slash at the end names the same page, and does not stay", () => {
  expect(match("/library/")).toEqual({ page: "library", document: null });
  expect(match(`/c/${ID}/`)).toEqual({ page: "chat", conversation: ID });
  navigate("/admin/people/?q=a#b");
  expect(location.pathname + location.search + location.hash).toBe("/admin/people?q=a#b");
  expect(route.value).toEqual({ page: "people" });
  navigate("/no/page/");
  expect(location.pathname).toBe("/no/page/");
  navigate("/", { replace: true });
});

test("a change of address is seen once, whole", () => {
  const seen: string[] = [];
  const stop = effect(() => {
    seen.push(`${JSON.stringify(route.value)} ${query.value}`);
  });
  seen.length = 0;
  navigate(`/?document=${ID}`);
  navigate(`/c/${ID}`, { replace: true });
  stop();
  expect(seen).toEqual([
    `{"page":"chat","conversation":null} document=${ID}`,
    `{"page":"chat","conversation":"${ID}"} `,
  ]);
});

test("only links to our own pages are followed without a load", () => {
  followLinks();
  let followed = false;
  document.addEventListener("click", (event) => {
    followed = event.defaultPrevented;
    event.preventDefault(); // nothing leaves the test
  });
  const follow = (html: string) => {
    document.body.innerHTML = html;
    document.querySelector("a")?.click();
    return followed;
  };
  expect(follow('<a href="/library">x</a>')).toBe(true);
  expect(location.pathname).toBe("/library");
  expect(follow(`<a href="/api/v1/documents/${ID}/original">x</a>`)).toBe(false);
  expect(follow('<a href="/library" target="_blank">x</a>')).toBe(false);
  expect(follow('<a href="https://example.com/library">x</a>')).toBe(false);
});

test("what stands after # is read once and not left in the address", () => {
  history.replaceState(null, "", "/link?a=1#secret");
  expect(takeFragment()).toBe("secret");
  expect(location.href).not.toContain("#");
  expect(location.search).toBe("?a=1");
  expect(takeFragment()).toBe("");
  navigate("/", { replace: true });
});
