import { effect, signal } from "@preact/signals";
import { query, route } from "./router";

/** Whether the side bar is open as a drawer; on wide screens it is always there. */
export const menuOpen = signal(false);

/** Going somewhere closes the drawer, also to where one is already. */
export function followMenu(): void {
  effect(() => {
    route.value;
    query.value;
    menuOpen.value = false;
  });
}
