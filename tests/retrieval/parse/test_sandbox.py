"""A file that breaks its reader breaks nothing else."""

import io
import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from likeopt.config import Config
from likeopt.errors import UnreadableFile, UnsupportedType
from likeopt.retrieval.parse import MEDIA_TYPES, parse
from likeopt.retrieval.parse.sandbox import Sandbox
from likeopt.retrieval.types import Parsed
from tests.retrieval.parse import make_files as make


class Reader:
    """A sandbox, and a folder to put files in."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox, self.folder = sandbox, folder

    def read(self, data: bytes, name: str) -> Parsed:
        path = self.folder / "original"
        path.write_bytes(data)
        return self.sandbox.parse(path, MEDIA_TYPES[path.with_name(name).suffix], name)

    def fails(self, data: bytes, name: str) -> str:
        """The code with which reading fails."""
        with pytest.raises(UnreadableFile, match=f"^{name} ") as refused:
            self.read(data, name)
        return refused.value.instance_code

    @property
    def process(self) -> psutil.Process:
        """The process that reads."""
        child = self.sandbox._child
        assert child is not None
        return psutil.Process(child._process.pid)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    with Sandbox(Config(parse_timeout=1, parse_memory_mb=256)) as sandbox:
        yield Reader(sandbox, tmp_path)


def until(true: Callable[[], bool]) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_it_reads_what_parse_reads_in_one_process(reader: Reader) -> None:
    files = {
        "a.pdf": make.make_pdf(["# 제목\n\n본문이다.", "둘째 쪽."], table=[["a", "b"], ["1", "2"]]),
        "a.docx": make.make_docx("# 제목\n\n본문이다."),
        "a.txt": "텍스트".encode("cp949"),
    }
    processes = set()
    for name, data in files.items():
        parsed = reader.read(data, name)
        assert parsed == parse(reader.folder / "original", MEDIA_TYPES[name[1:]], name)
        processes.add(reader.process.pid)
    assert len(processes) == 1


def test_refusals_come_through(reader: Reader) -> None:
    assert reader.fails(make.make_encrypted_pdf(), "a.pdf") == "encrypted_file"
    assert reader.fails(make.make_zip_bomb_docx(), "a.docx") == "archive_bomb"
    assert reader.fails(b"", "a.txt") == "empty_file"
    with pytest.raises(UnsupportedType, match="a PowerPoint presentation"):
        reader.read(make.make_pptx(["# 제목"]), "a.docx")
    with pytest.raises(UnreadableFile, match="was removed while") as refused:
        reader.sandbox.parse(reader.folder / "gone", "text/plain", "a.txt")
    assert refused.value.instance_code == "missing_file"


def test_a_file_that_hangs_its_reader_is_given_up(reader: Reader) -> None:
    reader.read(b"first", "a.txt")
    stopped = reader.process
    stopped.suspend()
    assert reader.fails(b"second", "a.txt") == "parser_timeout"
    assert not stopped.is_running()
    assert reader.read(b"third", "a.txt").text == "third"


def test_a_file_that_crashes_its_reader_is_given_up(reader: Reader) -> None:
    reader.read(b"first", "a.txt")
    doomed = reader.process
    doomed.suspend()
    codes: list[str] = []
    asking = threading.Thread(target=lambda: codes.append(reader.fails(b"second", "a.txt")))
    asking.start()
    doomed.send_signal(signal.SIGSEGV)
    doomed.resume()
    asking.join()
    assert codes == ["parser_crashed"]
    assert reader.read(b"third", "a.txt").text == "third"


def test_a_file_that_needs_too_much_memory_is_given_up(tmp_path: Path) -> None:
    import xlsxwriter

    file = io.BytesIO()
    workbook = xlsxwriter.Workbook(file)
    sheet = workbook.add_worksheet()
    sheet.write(0, 0, "first")
    sheet.write(1_048_575, 16_383, "last")  # 17 billion cells lie between
    workbook.close()
    with Sandbox(Config(parse_memory_mb=256)) as sandbox:
        reader = Reader(sandbox, tmp_path)
        assert reader.fails(file.getvalue(), "a.xlsx") == "parser_memory"
        assert reader.fails(b"[" + b"[]," * 6_000_000 + b"0]", "a.json") == "parser_memory"
        assert reader.read(b"next", "a.txt").text == "next"


def test_the_process_knows_no_secrets_and_has_limits(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIKEOPT_LLM_KEY", "hush")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    reader.read(b"first", "a.txt")
    process = reader.process
    assert "hush" not in process.environ().values()
    assert process.rlimit(resource.RLIMIT_AS) == (256 << 20, 256 << 20)
    assert process.rlimit(resource.RLIMIT_FSIZE) == (0, 0)
    assert process.rlimit(resource.RLIMIT_CORE) == (0, 0)


def test_an_idle_process_ends_and_comes_back(tmp_path: Path) -> None:
    with Sandbox(Config(), idle=0.01) as sandbox:
        reader = Reader(sandbox, tmp_path)
        for number in range(3):
            assert reader.read(b"text %d" % number, "a.txt").text == f"text {number}"
            until(lambda: reader.process.status() == psutil.STATUS_ZOMBIE)


def test_an_ended_process_is_buried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # macOS has it since Python 3.13.
    monkeypatch.delattr(os, "waitid")
    with Sandbox(Config(), idle=0.01) as sandbox:
        reader = Reader(sandbox, tmp_path)
        reader.read(b"text", "a.txt")
        process = reader.process
        until(lambda: process.status() == psutil.STATUS_ZOMBIE)
        sandbox.tidy()
        assert not process.is_running()
        assert reader.read(b"again", "a.txt").text == "again"


def test_closing_ends_the_process(tmp_path: Path) -> None:
    sandbox = Sandbox(Config())
    reader = Reader(sandbox, tmp_path)
    reader.read(b"text", "a.txt")
    process = reader.process
    sandbox.close()
    assert not process.is_running()


def test_an_abandoned_process_ends_itself(tmp_path: Path) -> None:
    """Its parent was killed: the pipe closes."""
    with Sandbox(Config()) as sandbox:
        reader = Reader(sandbox, tmp_path)
        reader.read(b"text", "a.txt")
        process = reader.process
        child = sandbox._child
        assert child is not None
        child._stdin.close()
        until(lambda: process.status() == psutil.STATUS_ZOMBIE)


def test_threads_may_share_it(reader: Reader) -> None:
    folder = reader.folder
    texts: dict[int, str] = {}

    def read(number: int) -> None:
        path = folder / str(number)
        path.write_text(f"text {number}")
        texts[number] = reader.sandbox.parse(path, "text/plain", "a.txt").text

    threads = [threading.Thread(target=read, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == {number: f"text {number}" for number in range(8)}
