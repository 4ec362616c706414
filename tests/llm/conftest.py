"""The model server that says what a test tells it to."""

from collections.abc import Iterator

import pytest

from tests.stub_openai import StubOpenAI


@pytest.fixture
def stub() -> Iterator[StubOpenAI]:
    with StubOpenAI() as running:
        yield running
