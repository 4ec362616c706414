import type { ComponentChildren, JSX } from "preact";
import { useEffect } from "preact/hooks";
import { chooseLanguage, language, t } from "../i18n";
import "./gate.css";
import "./field.css";

/** A page of one form, for those who are not in yet. */
export function Gate({
  title,
  body,
  children,
}: {
  title: string;
  body?: string;
  children?: ComponentChildren;
}): JSX.Element {
  useEffect(() => {
    document.title = `${title} · Like-Opt`;
  }, [title]);
  const other = language.value === "ko" ? "en" : "ko";
  return (
    <div class="gate">
      <div class="gate-card">
        <p class="gate-brand">Like-Opt</p>
        <h1>{title}</h1>
        {body && <p class="muted">{body}</p>}
        {children}
      </div>
      <button
        class="link"
        type="button"
        lang={other}
        aria-label={`${t.value.language}: ${other === "ko" ? "한국어" : "English"}`}
        onClick={() => chooseLanguage(other)}
      >
        {other === "ko" ? "한국어" : "English"}
      </button>
    </div>
  );
}
