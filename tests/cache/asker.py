"""A process that asks for one key in several threads or greenlets at once, for tests to watch,
pause and kill. Run it with `Asker`."""

import json
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.servers import ROOT, wait_until


class Asker:
    """A running process; `work` holds what all share: the log of computations, and their gates."""

    def __init__(
        self,
        work: Path,
        machine: str = "one",
        *,
        redis: str = "",
        askers: int = 1,
        patch: bool = False,
        lease: float = 0.3,
        wait: float = 60.0,
    ) -> None:
        settings = {
            "work": str(work),
            "machine": machine,
            "redis": redis,
            "askers": askers,
            "lease": lease,
            "wait": wait,
        }
        patching = "from gevent import monkey; monkey.patch_all()\n" if patch else ""
        script = f"{patching}from tests.cache.ask import ask; ask({json.dumps(settings)!r})"
        self._work = work
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  (closed by `answers`)
        self._process = subprocess.Popen(
            [sys.executable, "-c", script], cwd=ROOT, stdout=self._output
        )
        self.pid = self._process.pid

    def go_on(self) -> None:
        """Let its computation end."""
        (self._work / f"go-{self.pid}").touch()

    def has_asked(self) -> bool:
        """Whether all its threads have begun to ask."""
        return (self._work / f"asked-{self.pid}").exists()

    def computes(self) -> bool:
        """Whether a computation has begun in it."""
        return self.pid in computations(self._work)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; SIGKILL is waited for."""
        self._process.send_signal(number)
        if number == signal.SIGKILL:
            self._process.wait()
            self._output.close()

    def report(self) -> dict[str, Any]:
        """What it says at its end: `values` of its askers, `avoided`, `stored`."""
        assert self._process.wait(60) == 0
        with self._output:
            self._output.seek(0)
            said: dict[str, Any] = json.loads(self._output.read())
        return said


def computations(work: Path) -> list[int]:
    """The process of each computation that has begun, in order."""
    log = work / "computations"
    return [int(line) for line in log.read_text().split()] if log.exists() else []


def the_one_that_computes(askers: list[Asker], *, after: int = 0) -> Asker:
    """The process of the next computation, once it has begun."""
    work = askers[0]._work
    wait_until(lambda: len(computations(work)) > after, "a computation")
    return next(asker for asker in askers if asker.pid == computations(work)[-1])
