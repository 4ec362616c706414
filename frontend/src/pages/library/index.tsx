import type { JSX } from "preact";
import { route } from "../../app/router";
import { DocumentPage } from "./document";
import { DropTarget } from "./drop";
import { ListPage } from "./list";
import "./library.css";

export default function LibraryPage(): JSX.Element {
  const here = route.value;
  const document = here.page === "library" ? here.document : null;
  if (document) return <DocumentPage key={document} id={document} />;
  return (
    <DropTarget>
      <ListPage />
    </DropTarget>
  );
}
