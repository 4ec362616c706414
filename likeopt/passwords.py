"""Passwords: which are accepted, and how they are hashed."""

import re
import threading
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from likeopt.errors import BadInput, Busy

Runner = Callable[[Callable[[], Any]], Any]

# Argon2id as RFC 9106 (section 4) recommends where memory is scarce. Measured here: 0.2 s of CPU
# and 64 MiB for each password, so two at once may take 128 MiB in a web worker. OWASP's least
# (19 MiB, 2 passes) took 0.03 s, which is also what a guess would cost who stole the hashes.
PASSES = 3
MEMORY_KIB = 64 * 1024
LANES = 4
AT_ONCE = 2
WAIT_SECONDS = 10.0

SHORTEST = 10
LONGEST = 200
# What most often stands before or after the digits of a guessed password, and how fingers run.
_COMMON = re.compile(
    "password|passwd|passw0rd|p@ssw0rd|p@ssword|qwerty|qwertyuiop|iloveyou|administrator|admin"
    "|welcome|letmein|changeme|monkey|dragon|football|baseball|basketball|sunshine|princess"
    "|superman|trustno|likeopt|default|secret|test|user|guest|login|abc|abcd|abcde|qwer|asdf"
    "|zxcv|qazwsx|zaqwsx|dkssud|dkssudgktpdy|qlalfqjsgh|tkfkdgo|tkfkdgody"
)
_RUNS = (
    "01234567890123456789",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiopasdfghjklzxcvbnm",  # pragma: allowlist secret
    "1q2w3e4r5t6y7u8i9o0p",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p;/",
    "q1w2e3r4t5y6u7i8o9p0",
)


def normal(password: str) -> str:
    """NFC (RFC 8265, OpaqueString), so that every keyboard writes the same password."""
    # Half of a surrogate pair, which JSON can hold, has no UTF-8.
    return unicodedata.normalize("NFC", password).encode("utf-8", "replace").decode()


def checked(password: str, *own: str) -> str:
    """The password in its normal form. Raises BadInput (`weak_password`) and says why if it is
    too short, too long, or what is tried first, such as the person's `own` name and address."""
    password = normal(password)
    plain = password.lower()
    problem = None
    if len(password) < SHORTEST:
        problem = f"is shorter than {SHORTEST} characters"
    elif len(password) > LONGEST:
        problem = f"is longer than {LONGEST} characters"
    elif len(set(plain)) < 5:
        problem = "repeats a few characters"
    elif any(plain in run or plain[::-1] in run for run in _RUNS):
        problem = "is a row of the keyboard, the alphabet or digits"
    elif _COMMON.fullmatch(re.sub(r"^[\d\W_]+|[\d\W_]+$", "", plain)):
        problem = "is one of the most common"
    elif plain in {word for text in own for word in _words(text)}:
        problem = "is your name or address"
    if problem is not None:
        raise BadInput(f"This password {problem}; choose another.", code="weak_password")
    return password


def _words(text: str) -> set[str]:
    lower = text.lower()
    return {lower, lower.replace(" ", ""), lower.partition("@")[0]}


class Passwords:
    """Argon2id, `AT_ONCE` at a time, where `run` puts work that blocks."""

    def __init__(
        self,
        run: Runner,
        *,
        passes: int = PASSES,
        memory_kib: int = MEMORY_KIB,
        lanes: int = LANES,
    ) -> None:
        self._run = run
        self._cost = (passes, memory_kib, lanes)
        self._slots = threading.BoundedSemaphore(AT_ONCE)
        # The hash of no password, so that an account without one takes as long to refuse.
        self.nobody = f"$argon2id$v=19$m={memory_kib},t={passes},p={lanes}${'A' * 22}${'A' * 43}"

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Hold one of the slots; raises Busy if none is free for 10 s."""
        if not self._slots.acquire(timeout=WAIT_SECONDS):
            raise Busy("Too many people are signing in. Try again in a moment.")
        try:
            yield
        finally:
            self._slots.release()

    def hash(self, password: str) -> str:
        """The encoded hash, parameters and a new salt included. Needs a slot."""
        encoded: str = self._run(lambda: self._argon2.hash(password))
        return encoded

    def matches(self, encoded: str, password: str) -> bool:
        """Whether `password` has this hash. Needs a slot."""
        from argon2.exceptions import VerifyMismatchError  # noqa: PLC0415  (see `_argon2`)

        try:
            return bool(self._run(lambda: self._argon2.verify(encoded, password)))
        except VerifyMismatchError:
            return False

    @cached_property
    def _argon2(self) -> Any:
        from argon2 import PasswordHasher  # noqa: PLC0415  (38 ms that most processes do without)

        return PasswordHasher(*self._cost)
