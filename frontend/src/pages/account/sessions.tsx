import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { endSession, listSessions, type OwnSession } from "../../api/account";
import { signOutElsewhere } from "../../app/session";
import { t } from "../../i18n";
import { formatMoment, formatWhen } from "../../lib/format";
import { Resource } from "../../lib/resource";
import { Icon } from "../../ui/icon";
import { Line, Lines, Section } from "../../ui/sheet";
import { toast, toastError } from "../../ui/toast";
import { readAgent } from "./agent";

const sessions = new Resource<{ items: OwnSession[] }>();
const never = new AbortController().signal;

export const loadSessions = () => sessions.load(listSessions);

/** Where one is signed in. */
export function Sessions(): JSX.Element {
  useEffect(() => {
    loadSessions();
  }, []);
  const count = sessions.state.value.data?.items.length ?? 0;
  return (
    <Section
      title={t.value.sessions}
      action={
        count > 1 && (
          <button class="button" type="button" onClick={endOthers}>
            {t.value.signOutElsewhere}
          </button>
        )
      }
    >
      <Lines of={sessions} line={(one) => <SessionLine key={one.id} session={one} />} />
    </Section>
  );
}

function SessionLine({ session }: { session: OwnSession }): JSX.Element {
  const { id, current, agent, address, seen_at: seen, created_at: created } = session;
  const { program, system } = readAgent(agent);
  const browser = program || t.value.unknownAgent;
  const name = system ? t.value.agentOn(browser, system) : browser;
  return (
    <Line
      name={name}
      marks={current && <span class="tag on">{t.value.thisSession}</span>}
      facts={[
        !current && t.value.lastSeen(formatWhen(seen)),
        address,
        t.value.signedInSince(formatMoment(created)),
      ]}
      action={
        !current && (
          <button
            class="icon-button"
            type="button"
            title={t.value.signOut}
            aria-label={t.value.endSession(name)}
            onClick={() => end(id)}
          >
            <Icon name="leave" />
          </button>
        )
      }
    />
  );
}

async function end(id: string): Promise<void> {
  try {
    await endSession(id, never);
    toast(t.value.ended(1));
  } catch (error) {
    toastError(error);
  }
  loadSessions();
}

async function endOthers(): Promise<void> {
  await signOutElsewhere();
  loadSessions();
}
