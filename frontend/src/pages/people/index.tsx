import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { AdminSheet } from "../../app/admin-sheet";
import { Groups } from "./groups";
import { Invitations } from "./invitations";
import { People } from "./people";
import { loadAll } from "./store";

export default function PeoplePage(): JSX.Element {
  useEffect(loadAll, []);
  return (
    <AdminSheet page="people">
      <People />
      <Invitations />
      <Groups />
    </AdminSheet>
  );
}
