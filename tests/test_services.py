"""What the services do for all processes together."""

from contextlib import closing

import msgspec
import pytest

from likeopt.cache.serialize import MISSING
from likeopt.config import Config
from likeopt.services import Services
from likeopt.storage import revisions
from tests.servers import wait_until


@pytest.mark.parametrize("layer", [None, "disk"])
def test_clearing_reaches_the_disk_of_other_machines(
    config: Config, redis_url: str, layer: str | None
) -> None:
    config = msgspec.structs.replace(config, cache="memory,redis,disk", redis_url=redis_url)
    with closing(Services(config)) as services:
        services.prepare()
        cache = services.cache
        key = cache.key("answers", "q")
        cache.set(key, "of another model", ttl=600)
        wait_until(lambda: services.watch.confirmed("access") is not None, "the watch")
        # On another machine, where what they share was cleared.
        services.db.write(lambda c: revisions.raise_(c, revisions.of_cache("answers", layer)))

        def gone(layers: list[str]) -> bool:
            services.watch.confirmed("access")
            return cache.get(key, layers=layers) is MISSING

        wait_until(lambda: gone(["disk"]), "the disk to be cleared")
        if layer is None:
            wait_until(lambda: gone(["memory", "redis", "disk"]), "the other layers")
        else:
            assert cache.get(key) == "of another model"
