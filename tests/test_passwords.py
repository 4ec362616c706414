"""Which passwords are accepted, and that their hashes are Argon2id at the stated cost."""

import subprocess
import sys

import pytest
from argon2 import extract_parameters
from argon2.low_level import Type

from likeopt.errors import BadInput, Busy
from likeopt.passwords import AT_ONCE, Passwords, normal
from likeopt.storage.db import run_here

PASSWORDS = Passwords(run_here, words=["docs.acme-robots.example", "acme-robots"])
checked = PASSWORDS.checked


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery staple",
        "Tr0ub4dor&3",
        "봄바람이 분다 산들산들",
        "가나다라마바사아자차",
        "x9" * 5 + "abcdef",
        " leading and trailing ",
        "🙂🙃😀😃😄😁😆😅😂🤣",
        "ab1c2" * 40,
    ],
)
def test_accepted(password: str) -> None:
    assert checked(password, "Ann", "ann@example.org") == normal(password)


@pytest.mark.parametrize(
    "password",
    [
        "",
        "eightchr",
        "ninechars",
        "aaaaaaaaaaaa",
        "abababababab",
        "1234567890",
        "0987654321",
        "qwertyuiop",
        "QWERTYUIOP",
        "poiuytrewq",
        "1q2w3e4r5t",
        "1qaz2wsx3edc",
        "Password1234",
        "123password!",
        "P@ssw0rd2024",
        "administrator",
        "dkssudgktpdy12",
        "ann.example@example.org",
        "ann.example",
        "Ann Example",
        "annexample",
        "Ann.Example2024!",
        "acme-robots",
        "2024 ACME-Robots!",
        # Of ten characters or more, from the lists themselves: a password, a word, a name.
        "basketball",
        "unbelievable",
        "christopher",
        # Shorter ones with what people add to reach ten: digits, signs, letters of digits.
        "!!sunshine99",
        "monkey123456",
        "m0nk3y123456",
        "$uper$tar2024",
        "dkssudgktpdy",
        "qwertyqwerty",
        "yeknomyeknom",
        "ab1c2" * 40 + "x",
    ],
)
def test_refused(password: str) -> None:
    with pytest.raises(BadInput) as refused:
        checked(password, "Ann Example", "ann.example@example.org")
    assert refused.value.instance_code == "weak_password"
    assert not password or password not in refused.value.message


def test_thousands_of_common_passwords_are_refused() -> None:
    from zxcvbn.frequency_lists import FREQUENCY_LISTS

    long = [word for words in FREQUENCY_LISTS.values() for word in words if len(word) >= 10]
    assert len(set(long)) > 13_000
    # Those of breaches, and every 50th of the rest.
    for word in [w for w in FREQUENCY_LISTS["passwords"] if len(w) >= 10] + long[::50]:
        with pytest.raises(BadInput):
            checked(word)


def test_lists_are_loaded_only_to_set_a_password() -> None:
    code = (
        "import sys; from likeopt.passwords import Passwords; from likeopt.storage.db import"
        " run_here; p = Passwords(run_here, passes=1, memory_kib=8, lanes=1); s = p.slot();"
        " s.__enter__(); p.matches(p.nobody, 'password'); assert 'zxcvbn' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_keyboard_writes_the_same_password() -> None:
    decomposed = "\u1100\u1161\u1102\u1161\u1103\u1161 cafe\u0301 12345"
    assert checked(decomposed) == "가나다 café 12345"


def test_hashes_are_argon2id_at_the_cost_that_rfc_9106_recommends() -> None:
    passwords = Passwords(run_here)
    with passwords.slot():
        encoded = passwords.hash("correct horse")
        assert encoded != passwords.hash("correct horse")
        assert passwords.matches(encoded, "correct horse")
        assert not passwords.matches(encoded, "Correct horse")
        # Refusing somebody who has no password costs the same.
        assert not passwords.matches(passwords.nobody, "correct horse")
    for parameters in map(extract_parameters, (encoded, passwords.nobody)):
        assert parameters.type is Type.ID
        cost = (parameters.time_cost, parameters.memory_cost, parameters.parallelism)
        assert cost == (3, 65536, 4)
        assert (parameters.salt_len, parameters.hash_len) == (16, 32)


def test_no_more_than_two_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("likeopt.passwords.WAIT_SECONDS", 0.01)
    passwords = Passwords(run_here)
    held = [passwords.slot() for _ in range(AT_ONCE)]
    for slot in held:
        slot.__enter__()
    with pytest.raises(Busy), passwords.slot():
        pass
    held[0].__exit__(None, None, None)
    with passwords.slot():
        pass
