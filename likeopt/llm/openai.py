"""Chat through any OpenAI-compatible endpoint: Ollama, vLLM, llama.cpp, hosted ones.

Plain HTTP: the `openai` package costs 40 MB and 0.6 s a process and brings nothing that one POST
needs.
"""

import msgspec

from likeopt.clock import Clock
from likeopt.config import Config
from likeopt.llm.stream import Endpoint, Run, TextStream, run_here
from likeopt.llm.types import Completion

# Passages of some 2,500 tokens leave an endpoint's usual 4,096 room for history and answer.
PROMPT_TOKENS = 3000


class OpenAIChat:
    """The chat model behind an OpenAI-compatible endpoint."""

    # Endpoints run on hardware of their own: an extra call costs a fraction of a second.
    quick = True

    def __init__(
        self,
        url: str,
        key: str,
        model: str,
        *,
        clock: Clock,
        timeout: float = 60.0,
        prompt_tokens: int = 0,
        run: Run = run_here,
    ) -> None:
        """`url` is the base URL; `timeout` is the longest silence in seconds; `prompt_tokens` of 0
        means PROMPT_TOKENS; `run` as for `TextStream`."""
        self.name = model
        # Every endpoint has names of its own: "default" is another model elsewhere.
        self.identity = f"{url.rstrip('/')} {model}"
        self._endpoint = Endpoint(url, key)
        self._clock = clock
        self._timeout = timeout
        self._run = run
        self._prompt_tokens = prompt_tokens or PROMPT_TOKENS

    def prompt_tokens(self) -> int:
        """See `ChatModel`."""
        return self._prompt_tokens

    def stream(self, request: Completion) -> TextStream:
        """See `ChatModel`."""
        sent = body(self.name, request)
        return TextStream(
            self._endpoint, sent, request.max_tokens, self._clock, self._timeout, self._run
        )


def body(model: str, request: Completion) -> bytes:
    """The JSON of a chat completion request."""
    fields = {
        "model": model,
        "messages": request.turns,
        "stream": True,
        "temperature": request.temperature,
        "max_tokens": request.max_tokens,
    }
    if request.stop:
        fields["stop"] = request.stop
    return msgspec.json.encode(fields)


def open_openai(config: Config, clock: Clock, run: Run) -> OpenAIChat:
    """The endpoint that the settings name; `run` as for `TextStream`."""
    return OpenAIChat(
        config.llm_url,
        config.llm_key,
        config.llm_model,
        clock=clock,
        timeout=config.llm_timeout,
        prompt_tokens=config.llm_context_tokens,
        run=run,
    )
