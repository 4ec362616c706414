"""Which passwords are accepted, and that their hashes are Argon2id at the stated cost."""

import pytest
from argon2 import extract_parameters
from argon2.low_level import Type

from likeopt.errors import BadInput, Busy
from likeopt.passwords import AT_ONCE, Passwords, checked, normal
from likeopt.storage.db import run_here


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
        "ab1c2" * 40 + "x",
    ],
)
def test_refused(password: str) -> None:
    with pytest.raises(BadInput) as refused:
        checked(password, "Ann Example", "ann.example@example.org")
    assert refused.value.instance_code == "weak_password"
    assert not password or password not in refused.value.message


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
