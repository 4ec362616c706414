import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { t } from "../../i18n";
import { Sheet } from "../../ui/sheet";
import { Groups } from "./groups";
import { Invitations } from "./invitations";
import { People } from "./people";
import { loadAll } from "./store";

export default function PeoplePage(): JSX.Element {
  useEffect(loadAll, []);
  return (
    <Sheet title={t.value.people}>
      <People />
      <Invitations />
      <Groups />
    </Sheet>
  );
}
