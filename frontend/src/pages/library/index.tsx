import type { JSX } from "preact";
import { route } from "../../app/router";
import * as collections from "./collections";
import { DocumentPage, loadAhead } from "./document";
import { DropTarget } from "./drop";
import { ListPage } from "./list";
import "./library.css";

const shown = () => (route.value.page === "library" ? route.value.document : null);

export const ready = async () => {
  const document = shown();
  if (document) await Promise.all([loadAhead(document), collections.load()]);
  else await collections.loadAhead();
};

export default function LibraryPage(): JSX.Element {
  const document = shown();
  if (document) return <DocumentPage key={document} id={document} />;
  return (
    <DropTarget>
      <ListPage />
    </DropTarget>
  );
}
