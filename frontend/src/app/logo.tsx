import type { JSX } from "preact";

export function Logo(): JSX.Element {
  return (
    <svg class="logo" viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="9" />
      <path
        class="logo-sheet"
        d="M9 8.500h9.500a4.5 4.5 0 0 1 4.5 4.500v4a4.5 4.5 0 0 1-4.5 4.500H14l-5 4z"
      />
      <path class="logo-lines" d="M13 13h6M13 16.800h4" />
    </svg>
  );
}
