import { useEffect } from "preact/hooks";
import { addLayer } from "../app/router";
import { compact } from "./media";

/** While `open`, the browser's Back closes this, as in an app of the phone's own. Where there is room
 * beside it, Back leaves the page as anywhere else. */
export function useLayer(open: boolean, close: () => void): void {
  const covers = open && compact.value;
  useEffect(() => (covers ? addLayer(close) : undefined), [covers]);
}
