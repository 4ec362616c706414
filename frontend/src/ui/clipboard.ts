import { t } from "../i18n";
import { toast } from "./toast";

export async function copy(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    toast(t.value.copied);
  } catch {
    toast(t.value.notCopied, true);
  }
}
