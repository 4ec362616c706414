import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { JOB_STATES, type Job, type JobState } from "../../api/jobs";
import { AdminSheet } from "../../app/admin-sheet";
import { explainOf, t } from "../../i18n";
import { ta } from "../../i18n/admin";
import { nameOfCollection } from "../../lib/collection";
import { formatWhen } from "../../lib/format";
import { formatNumber } from "../../lib/number";
import { More, Panel, Shown } from "../../ui/panel";
import { toast } from "../../ui/toast";
import * as store from "./jobs-store";
import "./admin.css";

export default function JobsPage(): JSX.Element {
  useEffect(() => store.followJobs(), []);
  return (
    <AdminSheet page="jobs">
      <div class="lead">
        <p class="small">{ta.value.jobsHelp}</p>
      </div>
      <Everything />
    </AdminSheet>
  );
}

function Everything(): JSX.Element {
  // The three lists come together: one word of that is enough, or of why they do not.
  if (!store.counts.value) return <Shown of={store.lists.running}>{() => null}</Shown>;
  if (store.done.value) {
    return <Panel icon="check" title={ta.value.noJobs} body={ta.value.noJobsBody} />;
  }
  return (
    <>
      {JOB_STATES.map((state) => (
        <Jobs key={state} state={state} />
      ))}
    </>
  );
}

function Jobs({ state }: { state: JobState }): JSX.Element {
  const list = store.lists[state];
  const count = store.counts.value?.[state];
  const { idle, noFailures, nothingWaits } = ta.value;
  const none = { running: idle, failed: noFailures, queued: nothingWaits }[state];
  return (
    <section class="section">
      <header class="section-header">
        <h2>
          {ta.value.jobStates[state]}
          {count !== undefined && <span class="count">{formatNumber(count)}</span>}
        </h2>
      </header>
      <Shown of={list} empty={({ items }) => items.length === 0 && <p class="none">{none}</p>}>
        {({ items }, loading) => (
          <>
            <ul class="lines">
              {items.map((job) => (
                <JobLine key={job.id} job={job} />
              ))}
            </ul>
            <More shown={list.hasMore.value} loading={loading} load={() => store.loadMore(state)} />
          </>
        )}
      </Shown>
    </section>
  );
}

function JobLine({ job }: { job: Job }): JSX.Element {
  const { state, document: name, collection_id: id, collection, owner } = job;
  const when = formatWhen(job.since);
  const facts = [
    ta.value.jobKinds[job.kind],
    ta.value.inCollection(nameOfCollection({ id, name: collection })),
    ta.value.ownedBy(owner),
    state === "failed" ? ta.value.failedAt(when) : ta.value.since(when),
  ];
  return (
    <li class="line job">
      <div class="line-main">
        <p class="line-name">{name}</p>
        <p class="small">{facts.join(" · ")}</p>
        <State job={job} />
      </div>
      {state === "failed" ? (
        <button
          class="button small"
          type="button"
          aria-label={ta.value.retryOf(name)}
          onClick={async () => {
            if (await store.retry(job)) toast(ta.peek().retried);
          }}
        >
          {ta.value.retryJob}
        </button>
      ) : (
        job.kind === "index" && (
          <button
            class="button small"
            type="button"
            aria-label={ta.value.cancelOf(name)}
            onClick={async () => {
              if (await store.cancel(job)) toast(ta.peek().stoppedJob);
            }}
          >
            {ta.value.cancelJob}
          </button>
        )
      )}
    </li>
  );
}

/** How far it is, or why it is no further. */
function State({ job }: { job: Job }): JSX.Element | null {
  const { state, kind, step, done, total, error_code: code, error_message: detail } = job;
  const reason = code && explainOf(job.document, { code, detail: detail ?? "" });
  if (state === "running") {
    const label = t.value.steps[kind === "embed" ? "embed" : step] ?? ta.value.starting;
    const known = total > 0;
    return (
      <div class="job-state">
        <p>
          {label}
          {known && ` · ${ta.value.passagesOf(done, total)}`}
        </p>
        <progress
          {...(known && { value: done, max: total })}
          aria-label={`${label}: ${job.document}`}
        />
      </div>
    );
  }
  if (!reason) return null;
  return (
    <div class="job-state">
      <p class="bad">
        {reason} {job.not_before && ta.value.againAt(formatWhen(job.not_before))}
      </p>
    </div>
  );
}
