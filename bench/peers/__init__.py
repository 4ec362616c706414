"""Other programs to compare with, each in a process of `.venv-bench` asked over a pipe.

Their packages never enter the project's own environment. Questions and answers are one JSON
document a line; times are taken inside the peer, so the pipe costs it nothing.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
PYTHON = ROOT / ".venv-bench" / "bin" / "python"

Message = dict[str, Any]
Ask = Callable[[Message], Message]


@contextmanager
def running(name: str, *arguments: Path | str, python: Path = PYTHON) -> Iterator[Ask]:
    """The peer `bench.peers.<name>` while the block runs: a function that asks it.

    The first answer is given when the peer has read `arguments`. `python` runs it.
    """
    if not python.exists():
        sys.exit("The other stacks are not installed: make .venv-bench/.installed")
    process = subprocess.Popen(
        [python, "-W", "ignore", "-m", f"bench.peers.{name}", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | {"ANONYMIZED_TELEMETRY": "False", "LANGSMITH_TRACING": "false"},
        encoding="utf-8",
    )
    questions, answers = process.stdin, process.stdout
    assert questions is not None
    assert answers is not None

    def ask(message: Message) -> Message:
        questions.write(json.dumps(message) + "\n")
        questions.flush()
        line = answers.readline()
        if not line:
            raise RuntimeError(f"{name} stopped with status {process.wait()}")
        answer: Message = json.loads(line)
        return answer

    try:
        yield ask
    finally:
        # A peer ends with its input.
        questions.close()
        process.wait()


def serve(answer: Ask) -> None:
    """The peer's side: answer every line of stdin, until it ends."""
    # What a library prints must not stand among the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), file=answers, flush=True)


def pss_mib() -> float:
    """This process's proportional set size."""
    for line in Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            return round(int(line.split()[1]) / 1024, 1)
    raise LookupError("Pss")
