import { computed } from "@preact/signals";
import { type Language, language } from ".";
import { type AdminMessages, enAdmin } from "./en-admin";
import { koAdmin } from "./ko-admin";

/** What only administrators read: it comes with their pages, so that nobody else loads it. */

export const ADMIN_CATALOGUES: Record<Language, AdminMessages> = { ko: koAdmin, en: enAdmin };

export const ta = computed(() => ADMIN_CATALOGUES[language.value]);
