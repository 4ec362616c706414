"""The real indexing process with a quick embedder, to be killed."""

from unittest import mock

from likeopt.config import Config
from likeopt.worker import main as worker
from tests.fakes import FakeEmbedder


def run(config: Config) -> None:
    """Index until SIGTERM."""
    with (
        mock.patch.object(worker, "open_embedder", return_value=FakeEmbedder()),
        # Beside other tests, a polite process would not get its turn for a minute.
        mock.patch.object(worker, "NICE", 0),
    ):
        worker.main(config)
