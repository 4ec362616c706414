import type { JSX } from "preact";
import { Icon, type IconName } from "./icon";

/**
 * A button for a step from here, such as to the next page. Without `run` there is nothing further:
 * it then stays where it is and does nothing, as a button that is disabled loses the keyboard.
 */
export function Step({
  icon,
  label,
  run,
}: {
  icon: IconName;
  label: string;
  run: (() => void) | undefined;
}): JSX.Element {
  return (
    <button
      class="icon-button"
      type="button"
      aria-label={label}
      title={label}
      aria-disabled={!run}
      onClick={run}
    >
      <Icon name={icon} />
    </button>
  );
}
