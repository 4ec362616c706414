import type { JSX } from "preact";

/** Line drawings on a 20 x 20 grid. */
const PATHS = {
  plus: "M10 4v12M4 10h12",
  chat: "M4 5.500h12v8.500H9l-4 3v-3H4z",
  library: "M4 4.500h3v11H4zM8.5 4.500h3v11h-3zM13.2 5l2.7-.7 2.6 10.6-2.7.7z",
  search: "M9 3.500a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11M13 13l4 4",
  dots: "M4.5 10h.01M10 10h.01M15.5 10h.01",
  send: "M10 16V4.500M5 9l5-5 5 5",
  stop: "M6 6h8v8H6z",
  copy: "M7.5 7.500h8.500V16H7.500zM12.5 7.500V4H4v8.500h3.5",
  again: "M15.5 7.500A6 6 0 1 0 16 11M16 4v3.800h-3.8",
  left: "M12 5l-5 5 5 5",
  right: "M8 5l5 5-5 5",
  down: "M10 4v12M5 11l5 5 5-5",
  unfold: "M5 8l5 5 5-5",
  close: "M5 5l10 10M15 5L5 15",
  menu: "M3.5 6h13M3.5 10h13M3.5 14h13",
  open: "M8 5H4.500v10.500H15V12M11.5 4H16v4.500M16 4l-7 7",
  upload: "M10 13V4M6 8l4-4 4 4M4 13.500V16h12v-2.5",
  folder: "M3 15.500v-11h5l1.5 2H17v9z",
  link: "M8.5 11.500a3 3 0 0 0 4.3 0l2.7-2.700a3 3 0 0 0-4.3-4.300l-.9.9M11.5 8.500a3 3 0 0 0-4.3 0l-2.7 2.700a3 3 0 0 0 4.3 4.300l.9-.9",
  file: "M5 3h6.500L15 6.500V17H5zM11.5 3v3.500H15",
  trash: "M4.5 6h11M8 6V4h4v2M6 6l.7 10.500h6.600L14 6",
  pencil: "M4 16l.7-3.200L13.2 4.300l2.5 2.5-8.5 8.500z",
  download: "M10 4v9M6 9.500l4 4 4-4M4 16.500h12",
  clock: "M10 3.500a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13M10 6.500V10l2.5 1.8",
  quote:
    "M4.5 13.500V9.800c0-2 1-3.3 3-3.800M4.5 10h3.500v3.500H4.500M11.5 13.500V9.800c0-2 1-3.3 3-3.800M11.5 10H15v3.500h-3.5",
  spark: "M10 3.500l1.6 4.9 4.9 1.6-4.9 1.600L10 16.500l-1.6-4.900L3.5 10l4.9-1.600z",
  warning: "M10 4l7 12H3zM10 8.500v3.500M10 14h.01",
  offline:
    "M3 3l14 14M6 12.500A5 5 0 0 1 8.6 11M4 9.500A9 9 0 0 1 7 7.600M10 6.700a9 9 0 0 1 6 2.800M10 15.500h.01",
  system: "M3 4.500h14v9H3zM7.5 16.500h5",
  light:
    "M10 7a3 3 0 1 0 0 6 3 3 0 0 0 0-6M10 2.500v1.500M10 16v1.500M2.5 10H4M16 10h1.500M4.7 4.700l1 1M14.3 14.300l1 1M15.3 4.700l-1 1M5.7 14.300l-1 1",
  dark: "M16 11.800A6.5 6.5 0 0 1 8.2 4 6.5 6.5 0 1 0 16 11.800z",
  check: "M4.5 10.500l3.5 3.5 7.5-8",
  scope: "M3.5 5h13l-5 6v4.500l-3 1.500v-6z",
  lock: "M5.5 9h9v7h-9zM7.5 9V6.500a2.5 2.5 0 0 1 5 0V9M10 12v1.500",
  person: "M10 4a3 3 0 1 0 0 6 3 3 0 0 0 0-6M4 16.500c.6-3 2.8-4.500 6-4.500s5.4 1.500 6 4.500",
  people:
    "M7.5 5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5M3 15.500c.4-2.500 2-3.700 4.500-3.700s4.1 1.200 4.5 3.700M12.5 5.200a2.4 2.4 0 0 1 0 4.600M13.8 12.200c1.800.4 2.900 1.500 3.200 3.300",
  log: "M5 3.500h10v13H5zM7.5 7h5M7.5 10h5M7.5 13h3",
  leave: "M12 4H5v12h7M9 10h8M14 7l3 3-3 3",
  key: "M6.500 8.500a3.500 3.500 0 1 0 0 7 3.500 3.500 0 0 0 0-7M9 9.500l6.500-6M12.500 6.300l2.500 2.500",
  target: "M10 5a5 5 0 1 0 0 10 5 5 0 0 0 0-10M10 2.500V7M10 13v4.500M2.5 10H7M13 10h4.5",
} as const;

export type IconName = keyof typeof PATHS;

/** Decoration: what it stands for is said beside it, or in its button's label. */
export function Icon({ name }: { name: IconName }): JSX.Element {
  return (
    <svg class={`icon icon-${name}`} viewBox="0 0 20 20" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
