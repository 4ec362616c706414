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
  /** None while it is not known yet what for. */
  title?: string;
  body?: string;
  children?: ComponentChildren;
}): JSX.Element {
  useEffect(() => {
    document.title = title ? `${title} · Like-Opt` : "Like-Opt";
  }, [title]);
  const other = language.value === "ko" ? "en" : "ko";
  return (
    <div class="gate">
      <div class="gate-card">
        <p class="gate-brand">Like-Opt</p>
        <p class="gate-about">{t.value.about}</p>
        {title && <h1>{title}</h1>}
        {body && <p class="muted">{body}</p>}
        {children}
      </div>
      {title && (
        <button
          class="link"
          type="button"
          lang={other}
          aria-label={`${t.value.language}: ${other === "ko" ? "한국어" : "English"}`}
          onClick={() => chooseLanguage(other)}
        >
          {other === "ko" ? "한국어" : "English"}
        </button>
      )}
    </div>
  );
}
