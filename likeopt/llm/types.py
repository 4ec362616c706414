"""What a language model is to the rest of the program."""

from collections.abc import Iterator
from typing import Literal, Protocol

import msgspec


class Turn(msgspec.Struct, frozen=True):
    """One message of a prompt."""

    role: Literal["system", "user", "assistant"]
    content: str


class Completion(msgspec.Struct, frozen=True):
    """What a model is asked to write."""

    turns: list[Turn]
    max_tokens: int = 512
    temperature: float = 0.0
    stop: list[str] = msgspec.field(default_factory=list)
    # Conversations keep their slot (and so their prompt cache) in the local server.
    slot_key: str | None = None


class ChatModel(Protocol):
    """A model that streams text. Two exist: any OpenAI-compatible endpoint, and the local one."""

    name: str

    def stream(self, request: Completion) -> Iterator[str]:
        """Yield pieces of text as they are written.

        Closing the iterator stops the model. Raises ModelUnavailable when it does not answer,
        Busy when its queue is full.
        """
        ...
