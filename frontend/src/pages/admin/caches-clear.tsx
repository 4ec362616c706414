import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import type { Wanted } from "../../api/caches";
import { ta } from "../../i18n/admin";
import { Choice } from "../../ui/field";
import { FormEnd, Modal } from "../../ui/modal";
import { useSending } from "../../ui/send";
import * as store from "./caches-store";

/** Asks what to clear, by use and layer or by what it depends on, and clears it. */
export function ClearDialog({
  wanted,
  close,
}: {
  wanted: Partial<Wanted>;
  close: () => void;
}): JSX.Element {
  const sending = useSending();
  const by = useSignal<"use" | "tag">("use");
  const use = useSignal(wanted.use ?? "");
  const layer = useSignal(wanted.layer ?? "");
  const tag = useSignal("library");
  const submit = async (event: Event) => {
    event.preventDefault();
    const chosen =
      by.value === "tag"
        ? { use: "", layer: "", tag: tag.value }
        : { use: use.value, layer: layer.value, tag: "" };
    if (await sending.run((signal) => store.clear(chosen, signal))) close();
  };
  const known = store.caches.data;
  return (
    <Modal title={ta.value.clearTitle} close={close}>
      <form class="dialog-form" onSubmit={submit}>
        <p class="dialog-body">{ta.value.clearBody}</p>
        <Choice
          label={ta.value.clearBy}
          value={by.value}
          onChange={(value) => {
            by.value = value as "use" | "tag";
          }}
        >
          <option value="use">{ta.value.byUse}</option>
          <option value="tag">{ta.value.byTag}</option>
        </Choice>
        {by.value === "tag" ? (
          <Choice
            label={ta.value.tag}
            value={tag.value}
            onChange={(value) => {
              tag.value = value;
            }}
          >
            {Object.entries(ta.value.tags).map(([name, label]) => (
              <option key={name} value={name}>
                {label}
              </option>
            ))}
          </Choice>
        ) : (
          <>
            <Choice
              label={ta.value.use}
              value={use.value}
              onChange={(value) => {
                use.value = value;
              }}
            >
              <option value="">{ta.value.allUses}</option>
              {known?.uses.map(({ use: name }) => (
                <option key={name} value={name}>
                  {ta.value.uses[name] ?? name}
                </option>
              ))}
            </Choice>
            <Choice
              label={ta.value.layer}
              value={layer.value}
              onChange={(value) => {
                layer.value = value;
              }}
            >
              <option value="">{ta.value.allLayers}</option>
              {known?.layers.map(({ name }) => (
                <option key={name} value={name}>
                  {ta.value.layers[name] ?? name}
                </option>
              ))}
            </Choice>
          </>
        )}
        <FormEnd sending={sending} close={close} action={ta.value.clear} />
      </form>
    </Modal>
  );
}
