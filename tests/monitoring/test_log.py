"""One JSON object a line, whatever is logged."""

import json
import logging
import os
import select
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from likeopt.monitoring.log import JsonLines, line_writer


@pytest.fixture
def lines() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def logger(lines: list[dict[str, Any]]) -> Iterator[logging.Logger]:
    made = logging.getLogger("likeopt.test")
    handler = JsonLines(lines.append)
    made.addHandler(handler)
    yield made
    made.removeHandler(handler)


def test_members_of_a_line(logger: logging.Logger, lines: list[dict[str, Any]]) -> None:
    logger.warning("%s of %d", "one", 2, extra={"fields": {"request_id": "r1"}})
    (line,) = lines
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "warning",
        "logger": "likeopt.test",
        "message": "one of 2",
        "request_id": "r1",
    }


def test_exception_is_part_of_its_line(logger: logging.Logger, lines: list[dict[str, Any]]) -> None:
    try:
        int("with\nlines")
    except ValueError:
        logger.exception("it failed")
    assert "test_log.py" in lines[0]["exception"]
    assert "ValueError: invalid literal" in lines[0]["exception"]


def test_writer_writes_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file:
        write = line_writer("web", file.fileno())
        write({"message": "줄\nbreak", "path": tmp_path})
        write({"message": "x" * 200_000})
    first, second = path.read_text().splitlines()
    assert json.loads(first) == {
        "message": "줄\nbreak",
        "path": str(tmp_path),
        "process": "web",
    }
    assert len(json.loads(second)["message"]) == 200_000


def test_reader_of_the_log_may_go() -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        line_writer("web", write)({"message": "nobody listens"})
    finally:
        os.close(write)


def test_a_reader_of_the_log_that_stands_still_holds_nothing_up() -> None:
    read, pipe = os.pipe()
    write = line_writer("web", pipe)
    written = threading.Event()

    def fill() -> None:
        for number in range(3000):
            write({"message": f"{number} " + "x" * 1000})
        # Part of it finds room, perhaps.
        write({"message": "y" * 100_000})
        written.set()

    threading.Thread(target=fill, daemon=True).start()
    assert written.wait(10)
    # Who shares the pipe waits as before.
    assert os.get_blocking(pipe)
    data = b""
    while select.select([read], [], [], 0)[0]:
        data += os.read(read, 1 << 20)
    write({"message": "there again"})
    write({"message": "and on"})
    data += os.read(read, 1 << 20)
    *lines, back, on = data.decode().splitlines()
    whole = [json.loads(line) for line in lines if line.endswith("}")]
    assert [int(one["message"].split()[0]) for one in whole] == list(range(len(whole)))
    assert len(whole) > 500
    assert json.loads(back) == {
        "message": "there again",
        "lost_lines": 3001 - len(whole),
        "process": "web",
    }
    assert json.loads(on) == {"message": "and on", "process": "web"}
    os.close(read)
    os.close(pipe)


def test_a_writer_that_is_not_used_any_more_keeps_nothing_open() -> None:
    read, pipe = os.pipe()
    for _ in range(3):
        line_writer("web", pipe)({"message": "one"})
    os.close(pipe)
    assert len(os.read(read, 1000).splitlines()) == 3
    assert os.read(read, 1000) == b""
    os.close(read)


def test_process_logs_warnings_and_crashes_too() -> None:
    script = """
import logging, warnings
from likeopt.monitoring import log
log.configure("engine", "info")
logging.getLogger("a.b").debug("too fine")
logging.getLogger("a.b").info("fine")
warnings.warn("careful")
raise RuntimeError("the end")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(one["process"], one["level"]) for one in told] == [
        ("engine", "info"),
        ("engine", "warning"),
        ("engine", "critical"),
    ]
    assert "careful" in told[1]["message"]
    assert "RuntimeError: the end" in told[2]["exception"]
    assert done.stderr == b""
