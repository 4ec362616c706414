"""Deterministic stand-ins for what a test must own: time, a model's cost, a full disk."""

import os
import resource
import signal
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from likeopt.clock import Clock


class FakeClock(Clock):
    """A clock that only moves when told to; starts at 2026-01-01T00:00:00Z."""

    def __init__(self, start_ms: int = 1_767_225_600_000) -> None:
        self._start_ms = start_ms
        self._elapsed = 0.0

    def now_ms(self) -> int:
        return self._start_ms + round(self._elapsed * 1000)

    def monotonic(self) -> float:
        return self._elapsed

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass on both the wall and the monotonic side."""
        self._elapsed += seconds


class FakeEmbedder:
    """Texts that share character trigrams get similar vectors; the same in every process.

    Same shape as the built-in model (float32 [n, 384], L2-normalised) at 1/1000 of its cost.
    `calls` counts the texts embedded, for tests of batching and resuming.
    """

    model = identity = "fake"
    dim = 384

    def __init__(self) -> None:
        self.calls = 0

    def queries(self, texts: list[str]) -> NDArray[np.float32]:
        return self._embed(texts)

    def passages(self, texts: list[str]) -> NDArray[np.float32]:
        return self._embed(texts)

    def _embed(self, texts: list[str]) -> NDArray[np.float32]:
        self.calls += len(texts)
        vectors = np.zeros((len(texts), self.dim), dtype=np.float32)
        for row, text in zip(vectors, texts, strict=True):
            padded = f"  {text.lower()} "
            for i in range(len(padded) - 2):
                digest = zlib.crc32(padded[i : i + 3].encode())
                row[digest % self.dim] += 1.0 if digest & 0x10000 else -1.0
            # A text of which nothing is left must still have a direction.
            row[0] += 1e-3
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """As on a full disk, a file does not grow beyond `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


@contextmanager
def no_files_but(count: int) -> Iterator[None]:
    """As with too many open files, this process can open only `count` more."""
    free = [os.dup(0) for _ in range(count + 1)]
    for descriptor in free:
        os.close(descriptor)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free[count], hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
