import type { ComponentChildren, JSX } from "preact";
import type { ApiError } from "../api/client";
import { explain, t } from "../i18n";
import { Icon, type IconName } from "./icon";
import "./panel.css";

interface Props {
  /** Shown as failed, with a retry where one can help. */
  error?: ApiError | undefined;
  retry?: () => void;
  loading?: boolean;
  icon?: IconName;
  title?: string;
  body?: string;
  action?: ComponentChildren;
}

/** What stands where content is missing: it is loading, it failed, or there is none. */
export function Panel(props: Props): JSX.Element {
  const { error, retry, loading, icon, title, body, action } = props;
  if (loading) {
    return (
      <div class="panel" role="status">
        <span class="spinner" />
        <p class="panel-body">{t.value.loading}</p>
      </div>
    );
  }
  if (error) {
    const gone = error.status === 404;
    return (
      <div class="panel" role="alert">
        <Icon name={gone ? "search" : error.code === "offline" ? "offline" : "warning"} />
        <h2 class="panel-title">{gone ? t.value.notFoundTitle : explain(error)}</h2>
        {gone && <p class="panel-body">{t.value.notFoundBody}</p>}
        {error.requestId && <p class="panel-small">{t.value.requestId(error.requestId)}</p>}
        {retry && !gone && (
          <button class="button" type="button" onClick={retry}>
            <Icon name="again" /> {t.value.retry}
          </button>
        )}
        {action}
      </div>
    );
  }
  return (
    <div class="panel">
      {icon && <Icon name={icon} />}
      {title && <h2 class="panel-title">{title}</h2>}
      {body && <p class="panel-body">{body}</p>}
      {action}
    </div>
  );
}
