"""How long the parts of a request took."""

import pytest

from likeopt.monitoring.stages import Stages
from tests.fakes import FakeClock


def test_stages_add_up_in_order(clock: FakeClock) -> None:
    stages = Stages(clock)
    with stages.time("search"):
        clock.advance(0.002)
    stages.add("model", 10.0)
    with stages.time("search"):
        clock.advance(0.001)
    assert stages.millis == pytest.approx({"search": 3.0, "model": 10.0})
    assert stages.server_timing(14.5) == "search;dur=3.00, model;dur=10.00, total;dur=14.50"


def test_failed_stage_counts(clock: FakeClock) -> None:
    stages = Stages(clock)

    def fail() -> None:
        clock.advance(0.004)
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"), stages.time("parse"):
        fail()
    assert stages.millis == pytest.approx({"parse": 4.0})


def test_no_stages(clock: FakeClock) -> None:
    assert Stages(clock).server_timing(0.0) == "total;dur=0.00"
