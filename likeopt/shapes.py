"""What the API and the commands' `--json` say, where it differs from what storage and search hold:
times are RFC 3339 strings."""

from typing import Any, TypeVar

import msgspec

from likeopt.clock import rfc3339
from likeopt.retrieval.types import Degraded, Hit, SearchResponse
from likeopt.storage import api_keys, collections, conversations, documents, messages, people

S = TypeVar("S", bound=msgspec.Struct)


class Collection(msgspec.Struct, frozen=True):
    """A collection; `documents` counts what is in it."""

    id: str
    name: str
    owner_id: str
    everyone: bool
    writable: bool
    documents: int
    created_at: str

    @classmethod
    def of(cls, stored: collections.Collection) -> "Collection":
        """As the API shows it."""
        return _copy(cls, stored, created_at=rfc3339(stored.created_at))


class Document(msgspec.Struct, frozen=True):
    """A document. `state` is about its newest original; `embedded` of `chunks` passages are
    searchable by meaning; `pages` is null for formats without pages; `job` is what is being done
    with it, or null."""

    id: str
    name: str
    collection_id: str
    source: documents.Source
    source_uri: str
    media_type: str
    size: int
    tags: list[str]
    state: documents.State
    searchable_by_words: bool
    version_id: int | None
    title: str | None
    pages: int | None
    chunks: int
    embedded: int
    error_code: str | None
    error_message: str | None
    job: documents.Progress | None
    created_at: str
    updated_at: str

    @classmethod
    def of(cls, stored: documents.Document) -> "Document":
        """As the API shows it."""
        return _copy(
            cls,
            stored,
            job=stored.progress,
            created_at=rfc3339(stored.created_at),
            updated_at=rfc3339(stored.updated_at),
        )


class DocumentList(msgspec.Struct, frozen=True):
    """Documents, most recently changed first."""

    items: list[Document]
    next_cursor: str | None


class Message(msgspec.Struct, frozen=True):
    """A question (role user) or an answer (role assistant) with what it cites.

    `kind` of an answer is generated (by a model), extractive (sentences of the documents) or
    not_found. `stages` are milliseconds. `cached_at` is when a model wrote it, if that was for an
    earlier question with the same passages; `cached_question` is that one, if it had other words.
    `feedback` is what its reader said of it.
    """

    id: str
    conversation_id: str
    role: str
    content: str
    state: messages.State
    kind: messages.Kind | None
    model: str | None
    query: str | None
    created_at: str
    stages: dict[str, float]
    citations: list[messages.Citation]
    parent_id: str | None
    error_code: str | None
    cached_at: str | None
    cached_question: str | None
    feedback: messages.Feedback | None

    @classmethod
    def of(cls, stored: messages.Message) -> "Message":
        """As the API shows it."""
        cached_at = None if stored.cached_at is None else rfc3339(stored.cached_at)
        return _copy(cls, stored, created_at=rfc3339(stored.created_at), cached_at=cached_at)


class Conversation(msgspec.Struct, frozen=True):
    """A conversation without its messages."""

    id: str
    title: str
    created_at: str
    updated_at: str

    @classmethod
    def of(cls, stored: conversations.Conversation) -> "Conversation":
        """As the API shows it."""
        return cls(
            id=stored.id,
            title=stored.title,
            created_at=rfc3339(stored.created_at),
            updated_at=rfc3339(stored.updated_at),
        )


class ConversationList(msgspec.Struct, frozen=True):
    """Conversations, last used first."""

    items: list[Conversation]
    next_cursor: str | None


class Transcript(msgspec.Struct, frozen=True):
    """A conversation with its messages: each question, then its answers in the order written."""

    id: str
    title: str
    created_at: str
    updated_at: str
    messages: list[Message]

    @classmethod
    def of(cls, stored: conversations.Transcript) -> "Transcript":
        """As the API shows it."""
        head = Conversation.of(stored.conversation)
        return _copy(cls, head, messages=[Message.of(message) for message in stored.messages])


class Person(msgspec.Struct, frozen=True):
    """An account; `email` is null only before the first administrator was set up.

    `email_confirmed`: an administrator chose the address, or has sent it again since.
    """

    id: str
    name: str
    email: str | None
    email_confirmed: bool
    role: people.Role
    disabled: bool
    has_password: bool
    created_at: str

    @classmethod
    def of(cls, stored: people.User) -> "Person":
        """As the API shows it."""
        return _copy(cls, stored, created_at=rfc3339(stored.created_at))


class Found(msgspec.Struct):
    """Passages, best first. `generation` is the revision of the library that they reflect;
    `stages` are milliseconds."""

    hits: list[Hit]
    generation: int
    pending: int
    degraded: list[Degraded]
    stages: dict[str, float]

    @classmethod
    def of(cls, found: SearchResponse) -> "Found":
        """As the API shows it."""
        return _copy(cls, found)


def _copy(kind: type[S], source: msgspec.Struct, **changes: Any) -> S:
    fields = kind.__struct_fields__
    return kind(
        **{name: getattr(source, name) for name in fields if name not in changes}, **changes
    )


__all__ = [
    "Collection",
    "Conversation",
    "ConversationList",
    "Document",
    "DocumentList",
    "Found",
    "Message",
    "Person",
    "Transcript",
]


class Key(msgspec.Struct):
    """An API key without its token; `hint` is how the token begins, after `lo_`."""

    id: str
    name: str
    hint: str
    scopes: list[api_keys.Scope]
    created_at: str
    expires_at: str | None
    last_used_at: str | None

    @classmethod
    def of(cls, stored: api_keys.ApiKey) -> "Key":
        """As the API shows it."""
        return cls(
            id=stored.id,
            name=stored.name,
            hint=stored.hint,
            scopes=stored.scopes,
            created_at=rfc3339(stored.created_at),
            expires_at=None if stored.expires_at is None else rfc3339(stored.expires_at),
            last_used_at=None if stored.last_used_at is None else rfc3339(stored.last_used_at),
        )


class KeyList(msgspec.Struct):
    """API keys of one person, newest first."""

    items: list[Key]
