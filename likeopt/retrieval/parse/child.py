"""The process that reads files: `python -m likeopt.retrieval.parse.child MEMORY_MB TIMEOUT IDLE`.

Whatever a hostile file does to a parser, it does here: in a process without secrets, that can
write no file, is bounded in memory, and is killed when it takes too long. It answers on the pipe
that it was started with and goes away when it is not needed.
"""

import math
import os
import resource
import select
import signal
import sys
import traceback
from pathlib import Path

import msgspec

from likeopt.errors import UnreadableFile, UnsupportedType
from likeopt.retrieval.parse.failures import unreadable
from likeopt.retrieval.parse.protocol import LENGTH, Done, Draw, Refused, Reply, Task, frame
from likeopt.retrieval.parse.read import draw, open_only, parse

# Seconds after which the process ends itself, should nobody be left to kill it.
_GRACE = 5
# What the process holds when all parsers are loaded.
_USUAL = 96 << 20


def main() -> None:
    """Serve until the pipe closes, or nothing is asked for a while."""
    memory_mb, timeout, idle = int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
    limit = memory_mb << 20
    # macOS refuses any that is not as large as what it maps itself, hundreds of GiB:
    # github.com/eclipse-omr/omr/pull/7069
    if sys.platform != "darwin":
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    # Libraries that print must not print into the answers.
    answers = os.dup(1)
    os.dup2(2, 1)
    _send(answers, b"\0" * LENGTH)  # ready
    # Whoever started it has something to ask, however long that takes on a busy machine.
    wait: float | None = None
    while job := _next_job(wait):
        wait = idle
        # Unlike a handler in Python, the default action also ends native code that hangs.
        signal.alarm(math.ceil(timeout) + _GRACE)
        reply = _answer(job)
        try:
            data = frame(reply)
        except MemoryError:
            reply = _refused("parser_memory", job)
            data = frame(reply)
        _send(answers, data)
        signal.alarm(0)
        exhausted = isinstance(reply, Refused) and reply.code == "parser_memory"
        # Memory that a large file needed is returned to the machine by ending.
        if exhausted or _resident() > max(limit // 4, _USUAL):
            return


def _resident() -> int:
    """Bytes of memory in use, where the system tells. (The peak of `getrusage` includes that of
    the parent at the time of the fork.)"""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    return pages * resource.getpagesize()


def _next_job(wait: float | None) -> Task | None:
    """What is asked next; None when the pipe is closed or nothing comes for `wait` seconds."""
    if not select.select([0], [], [], wait)[0]:
        return None
    length = int.from_bytes(_read(LENGTH), "little")
    return msgspec.msgpack.decode(_read(length), type=Task) if length else None


def _read(count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = os.read(0, count - len(data))
        if not part:
            return b""
        data += part
    return data


def _answer(job: Task) -> Reply:
    path = Path(job.path)
    try:
        if isinstance(job, Draw):
            return draw(job)
        if job.only_open:
            open_only(path, job.media_type, job.name)
            return Done(None)
        return Done(parse(path, job.media_type, job.name))
    except UnreadableFile as error:
        return Refused("unreadable", error.instance_code, error.message)
    except UnsupportedType as error:
        return Refused("unsupported", error.instance_code, error.message)
    except MemoryError:
        code = "parser_memory"
    except Exception:  # noqa: BLE001 - the outermost handler: a bug that a file has found
        traceback.print_exc()
        code = "parser_crashed"
    return _refused(code, job)


def _refused(code: str, job: Task) -> Refused:
    return Refused("unreadable", code, unreadable(code, job.name).message)


def _send(answers: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(answers, view) :]


if __name__ == "__main__":
    main()
