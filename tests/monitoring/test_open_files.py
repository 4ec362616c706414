"""How many files a process may open."""

import resource
import subprocess
import sys

import pytest

from likeopt.monitoring import open_files

RAISED = (
    "import resource; from likeopt.monitoring.open_files import raise_limit;"
    " print(raise_limit(), resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
)


@pytest.mark.parametrize(("soft", "hard", "raised"), [(256, 700, 700), (300, 300, 300)])
def test_limit_is_raised_as_far_as_it_may_be(soft: int, hard: int, raised: int) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", RAISED],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.split() == [str(raised)] * 2


def test_system_that_refuses_gives_what_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    # As macOS: no hard limit, and no more than its kernel has for one process.
    limits = (256, resource.RLIM_INFINITY)

    def setrlimit(_: int, wanted: tuple[int, int]) -> None:
        nonlocal limits
        if wanted[0] > 20_000:
            raise ValueError("current limit exceeds maximum limit")
        limits = wanted

    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(resource, "setrlimit", setrlimit)
    assert open_files.obtainable() == open_files.MOST
    assert open_files.raise_limit() == 10_240
    assert limits == (10_240, resource.RLIM_INFINITY)


def test_connections_leave_files_to_answer_them_with() -> None:
    assert open_files.connections_within(65_536, 8000) == 8000
    assert open_files.connections_within(4096, 8000) == 3584
    assert open_files.connections_within(256, 8000) == 128
