"""What a language model is to the rest of the program."""

from typing import Literal, Protocol

import msgspec

from likeopt.llm.stream import TextStream


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


class ChatModel(Protocol):
    """A model that streams text. Two exist: any OpenAI-compatible endpoint, and the local one."""

    @property
    def name(self) -> str:
        """What answers are signed with."""
        ...

    @property
    def identity(self) -> str:
        """Which model it is, among all that may have this name; part of cache keys."""
        ...

    @property
    def quick(self) -> bool:
        """Whether a short extra call, such as rewriting a question, is worth its time."""
        ...

    def prompt_tokens(self) -> int:
        """How many tokens a prompt should have beyond its fixed instructions."""
        ...

    def stream(self, request: Completion) -> TextStream:
        """Start writing. Returns at once; the stream raises ModelUnavailable when the model does
        not answer and Busy when it has no room. Raises ModelUnavailable if there is none to ask."""
        ...
