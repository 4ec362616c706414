import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { listDocuments } from "../../api/documents";
import { info } from "../../app/server";
import { language, t } from "../../i18n";
import { Resource } from "../../lib/resource";
import { recall, remember } from "../../lib/stored";
import { copy } from "../../ui/clipboard";
import { Icon } from "../../ui/icon";
import { Panel } from "../../ui/panel";
import { chat } from "./current";

const CONNECT =
  "LIKEOPT_LLM=openai LIKEOPT_LLM_URL=http://127.0.0.1:11434/v1 LIKEOPT_LLM_MODEL=qwen3:4b likeopt serve";

/** Whether there is anything to ask about. */
const library = new Resource<boolean>();
const hintDismissed = signal(recall("connect-hint") === "dismissed");

/** What an empty conversation shows: what can be asked here. */
export function Welcome(): JSX.Element {
  useEffect(() => {
    library.load(async (stop) => (await listDocuments({ limit: 1 }, stop)).items.length > 0);
  }, []);
  if (library.data === false) {
    return (
      <Panel
        icon="library"
        title={t.value.welcomeEmpty}
        body={t.value.welcomeEmptyBody}
        action={
          <a class="button primary" href="/library">
            <Icon name="plus" /> {t.value.addDocuments}
          </a>
        }
      />
    );
  }
  return (
    <div class="welcome">
      <h2>{t.value.welcome}</h2>
      <p class="welcome-body">{t.value.welcomeBody}</p>
      <Samples />
      <ConnectHint />
    </div>
  );
}

function Samples(): JSX.Element | null {
  const { data, error } = info.state.value;
  if (error && !data) return <Panel error={error} retry={() => location.reload()} />;
  const questions = data?.sample_questions[language.value] ?? [];
  // Their place is kept while they are loaded, so that nothing jumps.
  if (data && questions.length === 0) return null;
  return (
    <div class="samples">
      <h3 class="hidden">{t.value.samples}</h3>
      {questions.slice(0, 4).map((question) => (
        <button key={question} class="sample" type="button" onClick={() => chat.ask(question)}>
          <span>{question}</span>
          <Icon name="right" />
        </button>
      ))}
    </div>
  );
}

function ConnectHint(): JSX.Element | null {
  if (info.data?.model.kind !== "extractive" || hintDismissed.value) return null;
  return (
    <div class="connect">
      <h3>
        <Icon name="quote" /> {t.value.connectTitle}
      </h3>
      <p>{t.value.connectBody}</p>
      <div class="connect-line">
        <code>{CONNECT}</code>
        <button
          class="icon-button"
          type="button"
          aria-label={t.value.copy}
          title={t.value.copy}
          onClick={() => copy(CONNECT)}
        >
          <Icon name="copy" />
        </button>
      </div>
      <button
        class="icon-button connect-close"
        type="button"
        aria-label={t.value.dismiss}
        title={t.value.dismiss}
        onClick={() => {
          hintDismissed.value = true;
          remember("connect-hint", "dismissed");
        }}
      >
        <Icon name="close" />
      </button>
    </div>
  );
}
