import { render } from "preact";
import { act } from "preact/test-utils";
import { afterEach, expect, test } from "vitest";
import { Announcer, announce, toast } from "./toast";

const root = document.createElement("div");
document.body.append(root);
afterEach(() => render(null, root));

const region = (role: string) => root.querySelector(role);

test("a region is there, empty, before what is said comes into it", async () => {
  toast("Deleted.");
  announce("Two days.");
  await act(() => {
    render(<Announcer />, root);
    expect(region("[role=status]")?.textContent).toBe("");
    expect(region("[aria-live=polite]")?.textContent).toBe("");
  });
  const places = [region("[role=status]"), region("[aria-live=polite]")];
  expect(places[0]?.textContent).toBe("Deleted.");
  expect(places[1]?.textContent).toBe(""); // heard where it was said
  await act(() => {
    toast("Renamed.");
    announce("Three days.");
  });
  expect([region("[role=status]"), region("[aria-live=polite]")]).toEqual(places);
  expect(places.map((each) => each?.textContent)).toEqual(["Renamed.", "Three days."]);
});
