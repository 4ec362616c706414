import type { ComponentChildren, JSX } from "preact";
import { t } from "../i18n";
import { Sheet } from "../ui/sheet";
import { ADMIN_PAGES, type AdminPage } from "./router";
import { admin } from "./session";

/** A page of administration, with the way to all others. */
export function AdminSheet({
  page,
  actions,
  children,
}: {
  page: AdminPage;
  actions?: ComponentChildren;
  children: ComponentChildren;
}): JSX.Element {
  // Without sign-in there are no accounts, and nobody but the guest could be in the log.
  const open = ADMIN_PAGES.filter((one) => admin.value || (one !== "people" && one !== "audit"));
  const tabs = (
    <nav class="tabs" aria-label={t.value.administration}>
      {open.map((one) => (
        <a key={one} href={`/admin/${one}`} aria-current={one === page ? "page" : undefined}>
          {t.value[one]}
        </a>
      ))}
    </nav>
  );
  return (
    <Sheet wide title={t.value[page]} actions={actions} tabs={tabs}>
      {children}
    </Sheet>
  );
}
