import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { ApiError, open } from "../api/client";
import {
  getImageInfo,
  type ImageInfo,
  type ImageName,
  imageAddress,
  type Range,
} from "../api/images";
import { explain, t } from "../i18n";
import { Resource } from "../lib/resource";
import { isAbort } from "../lib/wait";
import { Icon } from "./icon";
import "./picture.css";

interface Props {
  of: ImageName;
  /** What it shows, in words; "" where something else says so. */
  alt: string;
  /** What of the document's text to mark on a page. */
  cited?: Range | undefined;
  /** How wide it is shown, for browsers that do not find out by themselves. */
  sizes: string;
  /** Makes it a button that is called so. */
  enlarge?: { label: string; run: () => void };
  /** Called once its proportions and marks are known and laid out, before they are seen. */
  onKnown?: (info: ImageInfo) => void;
}

/**
 * A picture of a document in the size that the screen needs. Until it is there, its place is held in
 * its proportions, filled with a blurred one; it is asked for when it comes near what is in sight.
 *
 * There is one source for all formats: the server chooses by `Accept` and by what the picture shows
 * (a page of text is smallest in WebP without loss, even where AVIF is shown).
 *
 * Give it a `key` that changes with the picture.
 */
export function Picture(props: Props): JSX.Element {
  const { of, cited, onKnown } = props;
  const info = useMemo(() => new Resource<ImageInfo>(), []);
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const stop = whenNear(box.current, () =>
      info.load((signal) => getImageInfo(of, cited, signal)),
    );
    return () => {
      stop();
      info.abort();
    };
  }, []);
  const { data, error } = info.state.value;
  useLayoutEffect(() => {
    if (data) onKnown?.(data);
  }, [data]);
  return (
    <div class="picture" ref={box}>
      {data ? (
        <Known {...props} info={data} />
      ) : error ? (
        <Failed error={error} retry={() => info.reload()} />
      ) : null}
    </div>
  );
}

function Known({ of, alt, sizes, enlarge, info }: Props & { info: ImageInfo }): JSX.Element {
  const error = useSignal<ApiError | undefined>(undefined);
  const loaded = useSignal(false);
  const attempt = useSignal(0);
  const ended = useMemo(() => new AbortController(), []);
  useEffect(() => () => ended.abort(), []);
  const failed = async () => {
    const reason = await reasonOf(imageAddress(of, info.widths[0] ?? 0), ended.signal);
    if (ended.signal.aborted) return;
    // It can be had after all: once more, and no further.
    if (!reason && attempt.value === 0) attempt.value = 1;
    else error.value = reason ?? new ApiError("not_drawn", 0, "", false);
  };
  if (error.value) {
    const retry = () => {
      error.value = undefined;
      attempt.value = 0;
    };
    return <Failed error={error.value} retry={retry} />;
  }
  const { width, height, placeholder, marks } = info;
  const picture = (
    <picture
      class="picture-frame"
      // Through the object model, which the policy of the page allows.
      style={{
        aspectRatio: `${width} / ${height}`,
        backgroundImage: loaded.value ? "none" : `url(${placeholder})`,
      }}
    >
      <img
        key={attempt.value}
        class={loaded.value ? "loaded" : undefined}
        alt={alt}
        width={width}
        height={height}
        loading="lazy"
        decoding="async"
        sizes={`auto, ${sizes}`}
        srcset={widthsFor(of, info)
          .map((one) => `${imageAddress(of, one)} ${one}w`)
          .join(", ")}
        src={imageAddress(of, 800)}
        onLoad={() => {
          loaded.value = true;
        }}
        onError={failed}
      />
      {marks.map(([x, y, wide, high]) => (
        <span
          key={`${x}/${y}`}
          class="picture-mark"
          style={{
            left: `${x * 100}%`,
            top: `${y * 100}%`,
            width: `${wide * 100}%`,
            height: `${high * 100}%`,
          }}
        />
      ))}
    </picture>
  );
  if (!enlarge) return picture;
  return (
    <button
      class="picture-button"
      type="button"
      aria-label={t.value.enlarge(enlarge.label)}
      onClick={enlarge.run}
    >
      {picture}
      <span class="picture-enlarge">
        <Icon name="enlarge" />
      </span>
    </button>
  );
}

function Failed({ error, retry }: { error: ApiError; retry: () => void }): JSX.Element {
  return (
    <div class="picture-failed" role="alert">
      <Icon name={error.code === "offline" ? "offline" : "warning"} />
      {/* The server's own sentence is longer than the place of a picture. */}
      <p>{t.value.errors[error.code] ?? explain(error)}</p>
      {error.retryable && (
        <button class="button small" type="button" onClick={retry}>
          <Icon name="again" /> {t.value.retry}
        </button>
      )}
    </div>
  );
}

/** Those that differ: a picture in a document is never enlarged. */
function widthsFor({ part }: ImageName, { width, widths }: ImageInfo): number[] {
  if (part === "page") return widths;
  const enough = widths.findIndex((one) => one >= width);
  return enough < 0 ? widths : widths.slice(0, enough + 1);
}

/** Why the server does not send a picture, which its element does not tell; undefined if it does. */
async function reasonOf(address: string, signal: AbortSignal): Promise<ApiError | undefined> {
  try {
    const response = await open(address, { signal, headers: { Accept: "image/webp" } });
    await response.body?.cancel();
    return undefined;
  } catch (reason) {
    return isAbort(reason) ? undefined : ApiError.from(reason);
  }
}

// As far ahead as browsers begin to load pictures themselves, or a little less.
const AHEAD = "600px";

/** Does `run` once, when the element is near what can be seen. Returns what gives that up. */
function whenNear(element: Element | null, run: () => void): () => void {
  if (!element || !("IntersectionObserver" in globalThis)) {
    run();
    return () => {};
  }
  const observer = new IntersectionObserver(
    (entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      observer.disconnect();
      run();
    },
    { rootMargin: AHEAD },
  );
  observer.observe(element);
  return () => observer.disconnect();
}
