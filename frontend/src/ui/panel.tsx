import type { ComponentChildren, JSX } from "preact";
import type { ApiError } from "../api/client";
import { explain, t } from "../i18n";
import type { Resource } from "../lib/resource";
import { Icon, type IconName } from "./icon";
import "./panel.css";

interface Props {
  /** Shown as failed, with a retry where one can help. */
  error?: ApiError | undefined;
  retry?: () => void;
  /** Being tried again. */
  busy?: boolean;
  loading?: boolean;
  /** A few lines in a column, not the middle of a page. */
  compact?: boolean | undefined;
  /** All that there is of a page: its title is the page's. */
  whole?: boolean;
  icon?: IconName;
  title?: string;
  body?: string;
  action?: ComponentChildren;
}

/** What stands where content is missing: it is loading, it failed, or there is none. */
export function Panel(props: Props): JSX.Element {
  const { error, retry, busy, loading, compact, whole, icon, title, body, action } = props;
  const look = compact ? "panel compact" : "panel";
  if (loading) {
    return (
      <div class={`${look} loading`} role="status">
        <span class="spinner" />
        <p class="panel-body">{t.value.loading}</p>
      </div>
    );
  }
  if (error) {
    const gone = error.status === 404;
    return (
      <div class={look} role="alert">
        <Icon name={gone ? "search" : error.code === "offline" ? "offline" : "warning"} />
        <h2 class="panel-title">{gone ? t.value.notFoundTitle : explain(error)}</h2>
        {gone && <p class="panel-body">{t.value.notFoundBody}</p>}
        {error.requestId && <p class="panel-small">{t.value.requestId(error.requestId)}</p>}
        {retry && !gone && (
          <button class="button" type="button" onClick={retry}>
            {busy ? <span class="spinner" /> : <Icon name="again" />} {t.value.retry}
          </button>
        )}
        {action}
      </div>
    );
  }
  const Heading = whole ? "h1" : "h2";
  return (
    <div class={look}>
      {icon && <Icon name={icon} />}
      {title && <Heading class="panel-title">{title}</Heading>}
      {body && <p class="panel-body">{body}</p>}
      {action}
    </div>
  );
}

/**
 * Server data in whatever state it is: being loaded, failed, empty (what `empty` returns of it), or
 * there. Old data stays in sight while new is loaded, and with a word of it when that failed.
 */
export function Shown<T>({
  of,
  empty,
  compact,
  children,
}: {
  of: Resource<T>;
  empty?: (data: T) => ComponentChildren;
  compact?: boolean;
  children: (data: T, loading: boolean) => ComponentChildren;
}): JSX.Element {
  const { data, error, loading } = of.state.value;
  const retry = () => of.reload();
  if (data === undefined) {
    if (error) return <Panel error={error} retry={retry} busy={loading} compact={compact} />;
    return <Panel loading compact={compact} />;
  }
  return (
    <>
      {error && (
        <p class="stale-note" role="status">
          <Icon name={error.code === "offline" ? "offline" : "warning"} />
          <span>{t.value.notRefreshed(explain(error))}</span>
          <button class="link" type="button" onClick={retry}>
            {t.value.retry}
          </button>
        </p>
      )}
      {empty?.(data) || children(data, loading)}
    </>
  );
}

/** The end of a list of which there is more. */
export function More({
  shown,
  loading,
  load,
}: {
  shown: boolean;
  loading: boolean;
  load: () => void;
}) {
  if (!shown) return null;
  return (
    <button
      class="button more"
      type="button"
      // Not disabled: the keyboard stays here for what follows.
      aria-disabled={loading}
      onClick={loading ? undefined : load}
    >
      {t.value.more}
    </button>
  );
}
