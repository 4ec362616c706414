import { effect, signal } from "@preact/signals";
import { route } from "./router";

/** Whether the side bar is open as a drawer; on wide screens it is always there. */
export const menuOpen = signal(false);

/** Going somewhere closes the drawer. */
export function followMenu(): void {
  effect(() => {
    route.value;
    menuOpen.value = false;
  });
}
