"""A language model on this machine: llama.cpp's server in a process of its own.

`main` is that process, `LocalChat` asks it. It listens on a free port of the loopback address
behind a key made at each start, and writes both to `run/model.json` in the data folder once the
model is loaded, which it holds locked; so no other user of the machine, and no page in a browser,
can use it.

Settings that were measured (docs/decisions/0005-local-model-threads-and-slots.md), with the 0.5B
on two cores that others use too:

- Threads sleep while they wait for each other (`poll` 0). By default they spin, and then one busy
  core beside them cut 36 tokens/s to 0.5; without spinning it stayed above 38.
- So the model takes all cores that the process may use, busy ones too (only threads that spin must
  be no more than the idle cores), at a lower priority than searching.
- Slots are left to the server. It keeps the prompts of earlier conversations in memory
  (`cache_ram_mib`) and gives a new one the slot and the copy that share most with it. Pinning
  conversations to slots computed as many tokens (1,286 against 1,281, four conversations taking
  turns on two slots), and made two of them wait for one slot while another was idle.
"""

import fcntl
import importlib
import os
import secrets
import signal
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import msgspec

from likeopt.clock import Clock
from likeopt.config import Config
from likeopt.errors import ConfigError, ModelUnavailable, how_to_install
from likeopt.llm import models
from likeopt.llm.openai import PROMPT_TOKENS, body
from likeopt.llm.stream import Endpoint, TextStream
from likeopt.llm.types import Completion, Turn
from likeopt.monitoring.alive import is_held

# Seconds from the question to the model's first word that a prompt is fitted to. Reading the
# prompt is what takes them; the rest (search, the first token itself) needs about 0.3.
FIRST_TOKEN_SECONDS = 2.0
_OTHER_SECONDS = 0.3
# Fewer do not hold an answer: the question, and the best three or four sentences.
LEAST_PROMPT_TOKENS = 200
_CONTEXT_TOKENS = 4096
# A first start is often a busy one, at which the sample library is read: another that reads half as
# fast again puts that right. What differs less does so by chance.
_FASTER = 1.5
_PROMPT_CACHE_MIB = 256
_NICE = 5


class _State(msgspec.Struct, frozen=True):
    """What `run/model.json` holds."""

    url: str
    key: str
    name: str


def _state_path(config: Config) -> Path:
    return config.data_dir / "run" / "model.json"


def is_local(config: Config) -> bool:
    """Whether answers need the process that `main` is."""
    return config.llm in ("local", "local-small") or config.llm.startswith("gguf:")


def concurrency(config: Config) -> int:
    """Answers written at the same time: on few cores one after the other is sooner for both."""
    return config.llm_concurrency or (1 if _cores() <= 4 else 2)


# -- asking --------------------------------------------------------------------------------------


class LocalChat:
    """The model of this machine."""

    # A rewritten question would cost as much time as the answer's first token.
    quick = False

    def __init__(self, config: Config, clock: Clock) -> None:
        self.name = config.llm if not config.llm.startswith("gguf:") else Path(config.llm[5:]).stem
        self.identity = _identity(config)
        self._measured_as = _measured_as(config)
        self._config = config
        self._clock = clock

    def prompt_tokens(self) -> int:
        """As many as the model reads within FIRST_TOKEN_SECONDS. The same in all processes of the
        machine and after a restart: what is in a prompt is in the key of its answer."""
        if self._config.llm_context_tokens:
            return self._config.llm_context_tokens
        speed = _speeds(self._config).get(self._measured_as)
        if speed is None:
            raise _loading()
        fitting = int(speed * (FIRST_TOKEN_SECONDS - _OTHER_SECONDS))
        return min(max(fitting, LEAST_PROMPT_TOKENS), PROMPT_TOKENS)

    def stream(self, request: Completion) -> TextStream:
        """See `ChatModel`."""
        state = _read_state(self._config)
        endpoint = Endpoint(state.url, state.key)
        sent = body(self.name, request)
        timeout = self._config.llm_timeout
        return TextStream(endpoint, sent, request.max_tokens, self._clock, timeout)


def is_ready(config: Config) -> bool:
    """Whether the model is loaded, and its process lives."""
    return is_held(_state_path(config))


def _read_state(config: Config) -> _State:
    try:
        return msgspec.json.decode(_state_path(config).read_bytes(), type=_State)
    except FileNotFoundError:
        raise _loading() from None


def _loading() -> ModelUnavailable:
    return ModelUnavailable(
        "The language model is still being loaded.", code="model_loading", retry_after=5.0
    )


# -- its speed -----------------------------------------------------------------------------------


def _speeds_path(config: Config) -> Path:
    return config.data_dir / "models" / "speeds.json"


def _measured_as(config: Config) -> str:
    return f"{_identity(config)}, {_threads(config)} threads"


def _speeds(config: Config) -> dict[str, float]:
    """Prompt tokens a second, by model and threads. What is damaged is measured anew."""
    try:
        return msgspec.json.decode(_speeds_path(config).read_bytes(), type=dict[str, float])
    except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
        return {}


def _keep_speed(config: Config, measured: float) -> None:
    """Keep the model's speed for all processes and later starts, unless one is kept that is about
    the same."""
    speeds, name = _speeds(config), _measured_as(config)
    if measured <= _FASTER * speeds.get(name, 0.0):
        return
    path = _speeds_path(config)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_bytes(msgspec.json.encode(speeds | {name: measured}))
    new.replace(path)


# -- the process ---------------------------------------------------------------------------------


def main(config: Config, warm: Iterable[list[Turn]] = ()) -> None:
    """Serve the model until SIGTERM.

    `warm` are beginnings of prompts that are computed at once, so that no question waits for them.
    Raises ConfigError when llama.cpp or the model's file is missing.
    """
    path = model_file(config)
    xllamacpp = _import_llama()
    for stop in (signal.SIGTERM, signal.SIGINT):
        # Loading takes seconds of native code, in which Python's own handlers do not run.
        signal.signal(stop, signal.SIG_DFL)
    os.nice(_NICE)
    state_path = _state_path(config)
    state_path.unlink(missing_ok=True)
    key = secrets.token_urlsafe(24)
    server = xllamacpp.Server(_parameters(xllamacpp, config, path, key))
    speeds = [_prompt_speed(server, turns) for turns in [*warm, [Turn("system", _SAMPLE)]]]
    _keep_speed(config, max(speeds))
    state = _State(f"{server.listening_address}/v1", key, path.stem)
    with _write_state(state_path, state):
        stopping = threading.Event()
        for stop in (signal.SIGTERM, signal.SIGINT):
            signal.signal(stop, lambda *_: stopping.set())
        stopping.wait()
        state_path.unlink(missing_ok=True)
    # The server's threads do not end by themselves, and there is nothing of theirs to save.
    os._exit(0)


def _identity(config: Config) -> str:
    """Also tells files apart that took each other's name; not by their time, which differs from
    machine to machine."""
    if not config.llm.startswith("gguf:"):
        return config.llm
    path = Path(config.llm.removeprefix("gguf:"))
    return f"{path.name} {path.stat().st_size if path.is_file() else 0}"


def model_file(config: Config) -> Path:
    """The GGUF file that the settings name. Raises ConfigError when it is not there."""
    if config.llm.startswith("gguf:"):
        path = Path(config.llm.removeprefix("gguf:"))
        advice = "LIKEOPT_LLM names it."
    else:
        path = config.data_dir / "models" / models.find(config.llm).file
        advice = f"Fetch it: likeopt model get {config.llm}"
    if not path.is_file():
        raise ConfigError(f"The model {path} is not there. {advice}")
    return path


def _import_llama() -> Any:
    try:
        return importlib.import_module("xllamacpp")
    except ImportError:
        raise ConfigError(
            f"A model on this machine needs the extra `local`. {how_to_install('local')}"
        ) from None


def _parameters(xllamacpp: Any, config: Config, path: Path, key: str) -> Any:
    slots = concurrency(config)
    context = config.llm_context_tokens + config.llm_max_tokens + 512
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(path)
    parameters.n_parallel = slots
    parameters.n_ctx = slots * max(_CONTEXT_TOKENS, context)
    parameters.fit_params = False
    parameters.cache_ram_mib = _PROMPT_CACHE_MIB
    for threads in (parameters.cpuparams, parameters.cpuparams_batch):
        threads.n_threads = _threads(config)
        threads.poll = 0
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.api_keys = [key]
    parameters.cors_origins = ""
    parameters.ui = False
    parameters.endpoint_slots = False
    parameters.verbosity = 1
    return parameters


# About 130 tokens, to measure with.
_SAMPLE = (
    "A cache keeps what was computed once, so that it need not be computed again. It has to know"
    " what a value depends on, how long it may be kept and what to give up when there is no room."
    " 캐시는 한 번 계산한 값을 보관하여 다시 계산하지 않게 한다. 값이 무엇에 의존하는지, 얼마나"
    " 오래 둘 수 있는지, 자리가 없을 때 무엇을 버릴지 알아야 한다."
)


def _prompt_speed(server: Any, turns: list[Turn]) -> float:
    """Let the server read a prompt; tokens a second."""
    messages = msgspec.to_builtins([*turns, Turn("user", "?")])
    reply = server.handle_chat_completions({"messages": messages, "max_tokens": 1})
    return float(reply["timings"]["prompt_per_second"])


def _write_state(path: Path, state: _State) -> IO[bytes]:
    """Tell where the model is, for as long as the returned file is open."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    file = os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
    fcntl.flock(file, fcntl.LOCK_EX)
    file.write(msgspec.json.encode(state))
    file.flush()
    new.rename(path)
    return file


def _threads(config: Config) -> int:
    return config.llm_threads or _cores()


def _cores() -> int:
    """Cores that this process may use: its affinity, and a container's quota."""
    # macOS has no affinity.
    affine = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if affine else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))
