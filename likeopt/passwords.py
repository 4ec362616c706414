"""Passwords: which are accepted, and how they are hashed."""

import re
import threading
import unicodedata
from collections.abc import Callable, Iterator, Sequence
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
# What zxcvbn's lists lack: our own, and Korean words typed on a Latin keyboard.
_OURS = {"likeopt", "administrator", "trustno", "letmein", "changeme", "abcde", "qwer", "asdf"}
_OURS |= {"zxcv", "qazwsx", "dkssud", "dkssudgktpdy", "qlalfqjsgh", "tkfkdgo", "tkfkdgody"}
# What is put around a word, and in place of its letters, to make it longer and not much harder.
_BEFORE = re.compile(r"^[\d\W_]+")
_AFTER = re.compile(r"[\d\W_]+$")
_LETTERS = str.maketrans("@4301!$57", "aaeoiisst")
_SHORTEST_WORD = 4
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


def _problem(password: str, own: set[str]) -> str | None:
    plain = password.lower()
    if len(password) < SHORTEST:
        return f"is shorter than {SHORTEST} characters"
    if len(password) > LONGEST:
        return f"is longer than {LONGEST} characters"
    if len(set(plain)) < 5:
        return "repeats a few characters"
    if any(plain in run or plain[::-1] in run for run in _RUNS):
        return "is a row of the keyboard, the alphabet or digits"
    words = _within(plain)
    if not own.isdisjoint(words):
        return "is your name or address, or a name of this server"
    return "is one of the most common" if any(map(_is_common, words)) else None


def _within(plain: str) -> set[str]:
    """The password, and the words that may be behind it."""
    shorter = _AFTER.sub("", plain)
    inside = {plain, shorter, _BEFORE.sub("", plain), _BEFORE.sub("", shorter)}
    words = inside | {word.translate(_LETTERS) for word in inside}
    repeated = {found[1] for word in words if (found := re.fullmatch(r"(.{4,}?)\1+", word))}
    return {word for word in words | repeated if len(word) >= _SHORTEST_WORD}


def _is_common(word: str) -> bool:
    """Whether the word, read either way, is in a list of zxcvbn: 30,000 passwords of breaches,
    and English words and names, 94,000 in all, of which 13,600 are of ten or more characters."""
    # 70 ms and 14 MB, for which only setting a password is a reason.
    from zxcvbn.matching import RANKED_DICTIONARIES  # noqa: PLC0415

    lists = (_OURS, *RANKED_DICTIONARIES.values())
    return any(word in known or word[::-1] in known for known in lists)


def _words(text: str) -> set[str]:
    lower = text.lower()
    found = {lower, lower.replace(" ", ""), lower.partition("@")[0]}
    return {word for word in found if len(word) >= _SHORTEST_WORD}


class Passwords:
    """Argon2id, `AT_ONCE` at a time, where `run` puts work that blocks. `words` are names of this
    server and its organization, which nobody may have as a password."""

    def __init__(
        self,
        run: Runner,
        *,
        words: Sequence[str] = (),
        passes: int = PASSES,
        memory_kib: int = MEMORY_KIB,
        lanes: int = LANES,
    ) -> None:
        self._run = run
        self._words = words
        self._cost = (passes, memory_kib, lanes)
        self._slots = threading.BoundedSemaphore(AT_ONCE)
        # The hash of no password, so that an account without one takes as long to refuse.
        self.nobody = f"$argon2id$v=19$m={memory_kib},t={passes},p={lanes}${'A' * 22}${'A' * 43}"

    def checked(self, password: str, *own: str) -> str:
        """The password in its normal form. Raises BadInput (`weak_password`) and says why if it
        is too short, too long, or what is tried first: a common password or word, whatever digits
        and signs are around or in it, or the person's `own` name or address."""
        password = normal(password)
        words = {word for text in (*self._words, *own) for word in _words(text)}
        problem = self._run(lambda: _problem(password, words))
        if problem is not None:
            raise BadInput(f"This password {problem}; choose another.", code="weak_password")
        return password

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
