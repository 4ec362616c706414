"""The database schema, as SQLAlchemy Core tables.

Core and not the ORM: rows are read into small msgspec structs, which costs a web worker less
time and memory than mapped objects, and every statement stays visible.

Times are integers, milliseconds since the Unix epoch, UTC. Flags are integers 0 and 1.

`revision` columns order changes. A writer raises a row of `counters` in the same transaction as
the change that it announces, which locks that row until commit, so revision order is commit order
and a follower that has seen revision n has seen everything before it.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite only gives an autoincrementing rowid to a column declared exactly INTEGER.
BigId = BigInteger().with_variant(Integer(), "sqlite")
Id = String(32)


def _time(name: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable)


counters = Table(
    "counters",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", BigInteger, nullable=False),
    # Of the transaction that raised it last: see `revisions`.
    Column("changed", BigInteger, nullable=False, server_default="0"),
    Index(None, "changed"),
)

# Small facts about this database: its identity, the embedding model in force.
facts = Table(
    "facts",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

# The machines that search, and up to which library revision each finds documents by words.
machines = Table(
    "machines",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("words_applied", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
)

users = Table(
    "users",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", String(16), nullable=False),
    _time("created_at"),
    # Lower-cased, NFC; null until the local user becomes the first administrator.
    Column("email", Text, nullable=True),
    # Whether an administrator chose it: what people type themselves proves nothing.
    Column("email_confirmed", Integer, nullable=False, server_default="0"),
    # Argon2id in its encoded form, parameters and salt included.
    Column("password_hash", Text, nullable=True),
    # Who this is at the OpenID Connect provider: issuer and subject.
    Column("oidc_subject", Text, nullable=True),
    Column("disabled", Integer, nullable=False, server_default="0"),
    _time("password_changed_at", nullable=True),
    CheckConstraint("role IN ('admin', 'member')", name="role"),
    Index(None, "email", unique=True),
    Index(None, "oidc_subject", unique=True),
)

groups = Table(
    "groups",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False),
    _time("created_at"),
    Index(None, "name", unique=True),
)

group_members = Table(
    "group_members",
    metadata,
    Column("group_id", Id, ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", Id, ForeignKey("users.id"), primary_key=True),
    Index(None, "user_id"),
)

collections = Table(
    "collections",
    metadata,
    Column("id", Id, primary_key=True),
    Column("owner_id", Id, ForeignKey("users.id"), nullable=False),
    Column("name", Text, nullable=False),
    # 1: everyone on this server may read it.
    Column("everyone", Integer, nullable=False, server_default="0"),
    _time("created_at"),
)

# Who may read a collection besides its owner: named people, and members of named groups.
collection_users = Table(
    "collection_users",
    metadata,
    Column("collection_id", Id, ForeignKey("collections.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", Id, ForeignKey("users.id"), primary_key=True),
    Index(None, "user_id"),
)

collection_groups = Table(
    "collection_groups",
    metadata,
    Column("collection_id", Id, ForeignKey("collections.id", ondelete="CASCADE"), primary_key=True),
    Column("group_id", Id, ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True),
    Index(None, "group_id"),
)

# Originals, content-addressed: the file itself is files/<2 hex>/<sha256> in the data folder.
files = Table(
    "files",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("size", BigInteger, nullable=False),
    _time("created_at"),
)

documents = Table(
    "documents",
    metadata,
    Column("id", Id, primary_key=True),
    Column("collection_id", Id, ForeignKey("collections.id"), nullable=False),
    Column("owner_id", Id, ForeignKey("users.id"), nullable=False),
    Column("name", Text, nullable=False),
    # upload, folder, url or sample; with source_uri it identifies what a re-index replaces.
    Column("source", String(16), nullable=False),
    Column("source_uri", Text, nullable=False),
    Column("media_type", String(128), nullable=False),
    # The newest original; a version names the original it was made from.
    Column("sha256", String(64), ForeignKey("files.sha256"), nullable=True),
    Column("size", BigInteger, nullable=False),
    # The version readers see; null until the first one is published.
    Column("version_id", BigInteger, nullable=True),
    # Why the newest original could not be indexed, or null.
    Column("error_code", String(64), nullable=True),
    Column("error_message", Text, nullable=True),
    # 1: a tombstone without content, kept so that followers learn of the deletion.
    Column("deleted", Integer, nullable=False, server_default="0"),
    # Value of the counter `library` when this row last changed.
    Column("revision", BigInteger, nullable=False),
    _time("created_at"),
    _time("updated_at"),
    Index(None, "collection_id", "deleted", "updated_at"),
    Index(None, "revision"),
    Index(None, "sha256"),
    Index(None, "error_code"),
    Index(None, "source", "source_uri"),
)

document_tags = Table(
    "document_tags",
    metadata,
    Column("document_id", Id, ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True),
    Column("tag", String(64), primary_key=True),
    Index(None, "tag"),
)

# One reading of one original. Chunks are immutable once their version is published.
versions = Table(
    "versions",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("document_id", Id, ForeignKey("documents.id", ondelete="CASCADE"), nullable=False),
    Column("sha256", String(64), ForeignKey("files.sha256"), nullable=True),
    Column("state", String(16), nullable=False),
    # Counter `library` at publication and at retirement.
    Column("published_revision", BigInteger, nullable=True),
    Column("retired_revision", BigInteger, nullable=True),
    _time("retired_at", nullable=True),
    Column("title", Text, nullable=True),
    # Pages of a paged format (PDF, PPTX), else null.
    Column("page_count", Integer, nullable=True),
    Column("chunk_count", Integer, nullable=False, server_default="0"),
    Column("embedded_count", Integer, nullable=False, server_default="0"),
    _time("created_at"),
    CheckConstraint("state IN ('building', 'published', 'retired')", name="state"),
    Index(None, "document_id"),
    Index(None, "sha256"),
    Index(None, "published_revision"),
    Index(None, "retired_revision"),
    sqlite_autoincrement=True,
)

# The text of a version in pieces: real pages of a paged format, else parts of about 16,000
# characters. `start` counts characters from the beginning of the version's text.
pages = Table(
    "pages",
    metadata,
    Column(
        "version_id", BigInteger, ForeignKey("versions.id", ondelete="CASCADE"), primary_key=True
    ),
    Column("number", Integer, primary_key=True),
    Column("start", Integer, nullable=False),
    Column("text", Text, nullable=False),
)

chunks = Table(
    "chunks",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("version_id", BigInteger, ForeignKey("versions.id", ondelete="CASCADE"), nullable=False),
    Column("ordinal", Integer, nullable=False),
    # Exactly the version's text from `start` to `end` (characters).
    Column("text", Text, nullable=False),
    Column("start", Integer, nullable=False),
    Column("end", Integer, nullable=False),
    # Title path and, inside a table, its header row: searched with the text, not part of it.
    Column("context", Text, nullable=False),
    Column("page", Integer, nullable=True),
    Index(None, "version_id", "ordinal", unique=True),
    sqlite_autoincrement=True,
)

embeddings = Table(
    "embeddings",
    metadata,
    Column("model", String(64), primary_key=True),
    Column("chunk_id", BigInteger, ForeignKey("chunks.id", ondelete="CASCADE"), primary_key=True),
    # float16, little endian, L2-normalised.
    Column("vector", LargeBinary, nullable=False),
    # Counter `embeddings` when this row was written.
    Column("revision", BigInteger, nullable=False),
    Index(None, "chunk_id"),
    Index(None, "model", "revision"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("kind", String(16), nullable=False),
    Column("document_id", Id, ForeignKey("documents.id", ondelete="CASCADE"), nullable=True),
    Column("state", String(16), nullable=False),
    # Smaller runs first: words (10) before clean-up (20) before vectors (30).
    Column("priority", Integer, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("lease_owner", String(64), nullable=True),
    _time("lease_until", nullable=True),
    _time("run_after"),
    # What the job is doing, for people: step name, done and total in that step's unit.
    Column("step", String(16), nullable=False, server_default=""),
    Column("done", Integer, nullable=False, server_default="0"),
    Column("total", Integer, nullable=False, server_default="0"),
    Column("error_code", String(64), nullable=True),
    Column("error_message", Text, nullable=True),
    _time("created_at"),
    _time("updated_at"),
    CheckConstraint("kind IN ('index', 'embed', 'cleanup')", name="kind"),
    CheckConstraint("state IN ('queued', 'running', 'done', 'failed', 'cancelled')", name="state"),
    Index(None, "state", "priority", "run_after", "id"),
    Index(None, "document_id", "kind", "state"),
    sqlite_autoincrement=True,
)

conversations = Table(
    "conversations",
    metadata,
    Column("id", Id, primary_key=True),
    Column("owner_id", Id, ForeignKey("users.id"), nullable=False),
    Column("title", Text, nullable=False),
    _time("created_at"),
    _time("updated_at"),
    Index(None, "owner_id", "updated_at"),
)

messages = Table(
    "messages",
    metadata,
    Column("id", Id, primary_key=True),
    Column(
        "conversation_id",
        Id,
        ForeignKey("conversations.id", ondelete="CASCADE"),
        nullable=False,
    ),
    # The question that an answer answers; several answers of one question are its regenerations.
    Column("parent_id", Id, ForeignKey("messages.id", ondelete="CASCADE"), nullable=True),
    Column("role", String(16), nullable=False),
    Column("content", Text, nullable=False),
    Column("state", String(16), nullable=False),
    # For answers: generated, extractive or not_found.
    Column("kind", String(16), nullable=True),
    Column("model", Text, nullable=True),
    # The stand-alone query that was searched, if it differs from the question.
    Column("query", Text, nullable=True),
    # JSON object: stage name -> milliseconds.
    Column("stages", Text, nullable=True),
    Column("error_code", String(64), nullable=True),
    # 1: somebody asked to stop; whoever writes the answer looks four times a second.
    Column("stop_requested", Integer, nullable=False, server_default="0"),
    # Where its text comes from while it is written; several answers may come from one place.
    Column("generation", String(64), nullable=True),
    # When its text was written, if that was for an earlier question.
    _time("cached_at", nullable=True),
    # That question, if it had other words.
    Column("cached_question", Text, nullable=True),
    # What its reader thought of it: up or down.
    Column("feedback", String(8), nullable=True),
    # Of a question, how it was asked beside its words (JSON, see `chat.asking`), if it was.
    Column("asked_with", Text, nullable=True),
    _time("created_at"),
    _time("updated_at"),
    CheckConstraint("role IN ('user', 'assistant')", name="role"),
    CheckConstraint("state IN ('streaming', 'complete', 'stopped', 'failed')", name="state"),
    Index(None, "conversation_id", "created_at"),
    Index(None, "parent_id"),
    # Answers being written: a handful among all there are, looked through every ten seconds.
    Index(
        "ix_messages_streaming",
        "updated_at",
        sqlite_where=text("state = 'streaming'"),
        postgresql_where=text("state = 'streaming'"),
    ),
)

# Which answer a request has that may be sent again, by what its client calls it.
idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("user_id", Id, ForeignKey("users.id"), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("answer_id", Id, ForeignKey("messages.id", ondelete="CASCADE"), nullable=False),
    # SHA-256 of what was asked.
    Column("fingerprint", String(64), nullable=False),
    Index(None, "answer_id"),
)

citations = Table(
    "citations",
    metadata,
    Column("message_id", Id, ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    # No foreign keys: a citation outlives what it cites, and says so when read.
    Column("document_id", Id, nullable=False),
    Column("version_id", BigInteger, nullable=False),
    Column("chunk_id", BigInteger, nullable=False),
    Column("document_name", Text, nullable=False),
    Column("page", Integer, nullable=True),
    Column("start", Integer, nullable=False),
    Column("end", Integer, nullable=False),
    Column("quote", Text, nullable=False),
    Index(None, "document_id"),
)

# One-time links. Of a link's 256 random bits only the SHA-256 is kept, as of every token here.
links = Table(
    "links",
    metadata,
    Column("id", Id, primary_key=True),
    Column("token_hash", String(64), nullable=False),
    Column("purpose", String(16), nullable=False),
    # Whose password it sets; null for an invitation.
    Column("user_id", Id, ForeignKey("users.id"), nullable=True),
    Column("email", Text, nullable=True),
    Column("role", String(16), nullable=True),
    Column("created_by", Id, ForeignKey("users.id"), nullable=True),
    _time("created_at"),
    _time("expires_at"),
    _time("used_at", nullable=True),
    CheckConstraint("purpose IN ('setup', 'invite', 'reset')", name="purpose"),
    CheckConstraint("role IN ('admin', 'member')", name="role"),
    Index(None, "token_hash", unique=True),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Id, primary_key=True),
    Column("user_id", Id, ForeignKey("users.id"), nullable=False),
    Column("name", Text, nullable=False),
    # The first 8 characters after `lo_`, by which people tell their keys apart.
    Column("hint", String(8), nullable=False),
    Column("token_hash", String(64), nullable=False),
    # Of read, chat, write and admin, separated by spaces.
    Column("scopes", String(64), nullable=False),
    _time("created_at"),
    _time("expires_at", nullable=True),
    _time("last_used_at", nullable=True),
    _time("revoked_at", nullable=True),
    Index(None, "token_hash", unique=True),
    Index(None, "user_id"),
)

sessions = Table(
    "sessions",
    metadata,
    # SHA-256 of the id in the cookie.
    Column("id", String(64), primary_key=True),
    Column("user_id", Id, ForeignKey("users.id"), nullable=False),
    _time("created_at"),
    _time("seen_at"),
    _time("expires_at"),
    Column("address", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Index(None, "user_id"),
    Index(None, "expires_at"),
)

# Sign-ins that failed, by account and by address.
throttles = Table(
    "throttles",
    metadata,
    Column("key", String(80), primary_key=True),
    Column("failures", Integer, nullable=False),
    # No attempt before this.
    _time("until"),
    _time("updated_at"),
    Index(None, "updated_at"),
)

# Append-only: triggers refuse UPDATE and DELETE. No foreign keys: it outlives what it names.
audit = Table(
    "audit",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    _time("at"),
    Column("actor_id", Id, nullable=True),
    Column("actor_name", Text, nullable=False),
    Column("via", String(16), nullable=False),
    Column("action", String(64), nullable=False),
    Column("object_kind", String(32), nullable=False),
    Column("object_id", String(64), nullable=True),
    Column("object_name", Text, nullable=True),
    Column("address", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    # JSON object.
    Column("detail", Text, nullable=False),
    CheckConstraint("via IN ('session', 'key', 'guest', 'cli', 'system', 'link')", name="via"),
    Index(None, "at"),
    Index(None, "actor_id", "id"),
    Index(None, "action", "id"),
    Index(None, "object_id", "id"),
    sqlite_autoincrement=True,
)

# What browsers measured of the page. Of nobody: no person, session, address or id is in it.
vitals = Table(
    "vitals",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    _time("at"),
    # LCP, INP, FCP, TTFB, NAV (a change of page) and API in milliseconds; CLS in its own score.
    Column("name", String(8), nullable=False),
    Column("value", Float, nullable=False),
    Column("page", String(16), nullable=False),
    Column("screen", String(8), nullable=False),
    Column("way", String(16), nullable=False),
    # Of API: a method and route of ours, and the answer's status (0: none came).
    Column("operation", String(120), nullable=True),
    Column("status", Integer, nullable=True),
    # The element that decided it, by tags and classes.
    Column("target", String(100), nullable=True),
    # JSON object: share of the value -> milliseconds.
    Column("parts", Text, nullable=True),
    Index(None, "at"),
    Index(None, "name", "at"),
    sqlite_autoincrement=True,
)
