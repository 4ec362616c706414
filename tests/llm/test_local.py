"""The local model's process, with a real model: SmolLM2 135M, the smallest of the catalogue."""

import json
import os
import signal
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from likeopt.chat.events import Done
from likeopt.chat.opening import open_chat
from likeopt.clock import Clock
from likeopt.config import Config
from likeopt.errors import ConfigError, Conflict, ModelUnavailable
from likeopt.llm import local, models
from likeopt.llm.local import LEAST_PROMPT_TOKENS, LocalChat
from likeopt.llm.openai import PROMPT_TOKENS
from likeopt.llm.stream import run_here
from likeopt.llm.types import Completion, Turn
from likeopt.storage.db import Database
from tests.chat.shelf import Shelf
from tests.servers import wait_until
from tests.storage import library

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".make" / "models"
SYSTEM = "You are a careful assistant who answers in one short sentence."

_SCRIPT = """
import sys
from pathlib import Path
from likeopt.config import Config
from likeopt.llm import local
from likeopt.llm.types import Turn
config = Config(data_dir=Path(sys.argv[1]), llm=sys.argv[2], llm_threads=2)
local.main(config, warm=[[Turn("system", sys.argv[3])]])
"""


@pytest.fixture(scope="session")
def weights() -> Path:
    """The model's file, fetched by the first run and kept."""
    found: list[Path] = []

    def fetched() -> bool:
        try:
            found.append(models.get("smollm2", CACHE))
        except Conflict:
            return False
        return True

    wait_until(fetched, "another test process to fetch the model", seconds=300)
    return found[0]


@pytest.fixture(scope="module")
def running(
    weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Config, "subprocess.Popen[bytes]"]]:
    config = Config(data_dir=tmp_path_factory.mktemp("data"), llm=f"gguf:{weights}")
    command = [sys.executable, "-c", _SCRIPT, str(config.data_dir), config.llm, SYSTEM]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        wait_until(lambda: local.is_ready(config), "the model to load", seconds=120)
        yield config, process
    finally:
        process.kill()
        process.wait()


def state(config: Config) -> dict[str, str]:
    return json.loads((config.data_dir / "run" / "model.json").read_text())  # type: ignore[no-any-return]


def test_it_writes_text_and_reads_a_repeated_prompt_from_its_cache(
    running: tuple[Config, object],
) -> None:
    chat = LocalChat(running[0], Clock())
    turns = [Turn("system", SYSTEM), Turn("user", "What is the capital of France? " * 8)]
    timings = []
    for _ in range(2):
        stream = chat.stream(Completion(turns, max_tokens=12))
        assert "".join(stream).strip()
        timings.append(stream.timings)
    assert timings[0]["prompt_n"] > 40
    # The instructions were warm before the first question, all of it before the second.
    assert timings[0]["cache_n"] >= 10
    assert timings[1]["prompt_n"] <= 4


def test_prompts_are_fitted_to_the_speed(running: tuple[Config, object]) -> None:
    assert LEAST_PROMPT_TOKENS <= LocalChat(running[0], Clock()).prompt_tokens() <= PROMPT_TOKENS
    fixed = msgspec.structs.replace(running[0], llm_context_tokens=777)
    assert LocalChat(fixed, Clock()).prompt_tokens() == 777


def test_a_speed_is_measured_once_for_all_processes_and_starts(config: Config) -> None:
    def budget(threads: int = 2) -> int:
        changed = msgspec.structs.replace(config, llm_threads=threads)
        return LocalChat(changed, Clock()).prompt_tokens()

    def start(measured: float) -> None:
        local._keep_speed(msgspec.structs.replace(config, llm_threads=2), measured)

    with pytest.raises(ModelUnavailable) as caught:
        budget()
    assert caught.value.instance_code == "model_loading"
    start(300.0)
    first = budget()
    for measured in (200.0, 310.0, 449.0):
        start(measured)
        assert budget() == first
    # The first start was a busy one.
    start(600.0)
    assert budget() == 2 * first
    with pytest.raises(ModelUnavailable):
        budget(threads=1)
    # As a power cut leaves it.
    (config.data_dir / "models" / "speeds.json").write_bytes(b"\0\xff")
    start(300.0)
    assert budget() == first


def test_closing_a_stream_frees_the_model_for_the_next(running: tuple[Config, object]) -> None:
    chat = LocalChat(running[0], Clock())
    endless = chat.stream(Completion([Turn("user", "Count to one million.")], max_tokens=3000))
    next(endless)
    endless.close()
    assert "".join(chat.stream(Completion([Turn("user", "Say yes.")], max_tokens=4)))


def test_nobody_without_the_key_gets_in(running: tuple[Config, object]) -> None:
    found = state(running[0])
    body = json.dumps({"messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}).encode()
    request = urllib.request.Request(
        f"{found['url']}/chat/completions",
        body,
        {"Content-Type": "application/json", "Origin": "http://evil.example"},
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    with caught.value as refused:
        assert refused.code == 401
        assert refused.headers["Access-Control-Allow-Origin"] in (None, "")
    path = running[0].data_dir / "run" / "model.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert found["url"].startswith("http://127.0.0.1:")


def test_a_question_is_answered_by_a_real_model(
    running: tuple[Config, object], sqlite_database: Database
) -> None:
    """From the settings to the stored answer; what so small a model says is not looked at."""
    clock = Clock()
    reader = library.prepared(sqlite_database, clock)
    shelf = Shelf(sqlite_database, reader, clock)
    shelf.add("handbook.pdf", "Full-time employees get 15 days of annual leave.")
    config = msgspec.structs.replace(running[0], llm_max_tokens=24)
    chat = open_chat(config, sqlite_database, clock, shelf.search, run_here)
    broadcast = chat.ask(reader, "How many days of annual leave?")
    *_, last = (one.event for one in broadcast.events() if one)
    assert isinstance(last, Done)
    assert last.message.content
    assert last.message.error_code is None
    assert last.message.model == "smollm2-135m-instruct-q4_1"
    assert {"queue", "first_token", "generate"} <= last.message.stages.keys()


def test_a_signal_ends_it_and_it_is_no_longer_ready(
    weights: Path, running: tuple[Config, "subprocess.Popen[bytes]"]
) -> None:
    config, process = running
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert not local.is_ready(config)
    with pytest.raises(ModelUnavailable) as caught:
        LocalChat(config, Clock()).stream(Completion([Turn("user", "?")]))
    assert caught.value.instance_code == "model_loading"


def test_what_a_killed_process_has_written_makes_nothing_ready(config: Config) -> None:
    written = config.data_dir / "run" / "model.json"
    held = "model = local._write_state(Path(sys.argv[1]), local._State('http://x', 'k', 'm'))"
    script = f"import sys; from pathlib import Path; from likeopt.llm import local; {held}; input()"
    command = [sys.executable, "-c", script, str(written)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE) as process:
        try:
            wait_until(lambda: local.is_ready(config), "the file")
        finally:
            process.kill()
    assert written.exists()
    assert not local.is_ready(config)


def test_a_model_that_is_not_there_says_how_to_get_it(config: Config) -> None:
    with pytest.raises(ConfigError, match="likeopt model get local-small"):
        local.main(msgspec.structs.replace(config, llm="local-small"))
    with pytest.raises(ConfigError, match="LIKEOPT_LLM"):
        local.main(msgspec.structs.replace(config, llm="gguf:/nowhere/model.gguf"))


def test_few_cores_write_one_answer_at_a_time(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    cores = len(os.sched_getaffinity(0))
    assert local.concurrency(config) == (1 if cores <= 4 else 2)
    assert local.concurrency(msgspec.structs.replace(config, llm_concurrency=3)) == 3
    # As on macOS.
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert local.concurrency(config) == 1
