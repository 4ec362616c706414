/** The server's JSON, as `GET /api/v1/openapi.json` describes it. Times are RFC 3339 strings. */

export type Role = "admin" | "member";

/** Who is asking, and what a page needs to go on. */
export interface SessionState {
  user: {
    id: string;
    name: string;
    email: string | null;
    role: Role;
    has_password: boolean;
  } | null;
  via: "session" | "key" | "guest" | null;
  /** What every change must carry. */
  csrf: string | null;
  /** Sign-in is skipped on this server, for whoever opens the link in its terminal. */
  guest: boolean;
  /** Nobody can sign in before the link in the terminal was opened. */
  needs_setup: boolean;
  /** Name of the provider that one can sign in with. */
  oidc?: string | null;
}

export interface Page<T> {
  items: T[];
  next_cursor: string | null;
}

export interface Info {
  name: string;
  version: string;
  model: { kind: "extractive" | "local" | "local-small" | "gguf" | "openai"; name: string };
  embedder: string;
  vector_backend: string;
  limits: { max_upload_bytes: number; max_question_chars: number };
  media_types: { suffix: string; media_type: string }[];
  folder_roots: string[];
  sample_questions: { ko: string[]; en: string[] };
}

export type DocumentState = "queued" | "indexing" | "ready" | "failed";

export interface Document {
  id: string;
  name: string;
  collection_id: string;
  media_type: string;
  size: number;
  source: "upload" | "folder" | "url" | "sample";
  source_uri: string;
  tags: string[];
  created_at: string;
  updated_at: string;
  state: DocumentState;
  searchable_by_words: boolean;
  /** Which reading of it can be read and searched. */
  version_id: number | null;
  /** Passages that can be found by meaning, of `chunks`. */
  embedded: number;
  chunks: number;
  pages: number | null;
  title: string | null;
  error_code: string | null;
  error_message: string | null;
  /** What is being done with it. `done` and `total` count passages. */
  job: {
    kind: string;
    running: boolean;
    step: string;
    done: number;
    total: number;
    reason: string | null;
  } | null;
}

/** A piece of a document's text. `start` and `total` count characters, not UTF-16 units. */
export interface TextPage {
  document: { id: string; name: string; media_type: string };
  version: number;
  number: number;
  pages: number;
  /** Whether `number` is a page of the original, or only a part of a long text. */
  paged: boolean;
  start: number;
  text: string;
  total: number;
}

/** What documents are grouped by, and what decides who reads them. */
export interface Collection {
  id: string;
  name: string;
  owner_id: string;
  everyone: boolean;
  writable: boolean;
  documents: number;
  created_at: string;
}

export interface Indexing {
  queued: number;
  running: {
    job: number;
    kind: string;
    document: string;
    step: string;
    done: number;
    total: number;
  }[];
  failed: number;
  pending_words: number;
  pending_embeddings: number;
  library_revision: number;
}

export interface Filters {
  documents?: string[];
  tags?: string[];
}

export interface Citation {
  number: number;
  document_id: string;
  document_name: string;
  version_id: number;
  chunk_id: number;
  page: number | null;
  /** Characters of the document's text. */
  start: number;
  end: number;
  quote: string;
  available: boolean;
}

export type AnswerKind = "generated" | "extractive" | "not_found";
export type Feedback = "up" | "down";
export type MessageState = "streaming" | "complete" | "stopped" | "failed";

export interface Message {
  id: string;
  role: "user" | "assistant";
  content: string;
  state: MessageState;
  kind: AnswerKind | null;
  model: string | null;
  /** What was searched, where it differs from the question. */
  query: string | null;
  created_at: string;
  /** Stage -> milliseconds. */
  stages: Record<string, number> | null;
  citations: Citation[];
  /** For an answer, its question. */
  parent_id: string | null;
  error_code?: string | null;
  /** When a model wrote it, if that was for an earlier question. */
  cached_at?: string | null;
  /** That question, if it had other words. */
  cached_question?: string | null;
  feedback?: Feedback | null;
}

export interface Conversation {
  id: string;
  title: string;
  created_at: string;
  updated_at: string;
}
