"""Strangers who fail keep nobody out of a browser that they have signed in with before."""

from http.cookies import Morsel, SimpleCookie
from typing import Any

import msgspec
import pytest

from likeopt.config import Config
from likeopt.services import Services
from likeopt.storage import throttle
from likeopt.web import cookies
from tests.fakes import FakeClock
from tests.web.conftest import CLIENT, PASSWORD, PASSWORD_HASH, QUICK, Client, let_in

STATE = "/api/v1/session"
WHO = "owner@example.org"
OTHER = "lee@example.org"
NEW = "staple battery 7 horse"
HERE = "127.0.0.1"
AWAY = "192.0.2.1"


@pytest.fixture
def config(config: Config) -> Config:
    return msgspec.structs.replace(config, guest=False)


@pytest.fixture
def services(signing_in: Services) -> Services:
    for email in (WHO, OTHER):
        let_in(signing_in, email)
    return signing_in


def sign_in(client: Client, password: str = PASSWORD, email: str = WHO, at: str = HERE) -> Any:
    body = {"email": email, "password": password}
    return client.post(STATE, json=body, environ_overrides={"REMOTE_ADDR": at})


def known(client: Client, email: str = WHO) -> str:
    """What a browser keeps where somebody has signed in and out."""
    state = sign_in(client, email=email).json
    client.delete(STATE, headers={"X-CSRF-Token": state["csrf"]})
    assert client.get_cookie(cookies.NAME) is None
    kept: str = client.get_cookie(cookies.BROWSER).value
    return kept


def keep_out(client: Client, clock: FakeClock, addresses: list[str], email: str = WHO) -> None:
    """A stranger fails, waits as they are told to, and fails again, until the wait is a minute."""
    stranger = client.application.test_client()
    for number in range(30):
        refused = sign_in(stranger, "guess", email, addresses[number % len(addresses)])
        assert refused.status_code in (401, 429)
        wait = int(refused.headers.get("Retry-After", 0))
        if wait > 60:
            return
        clock.advance(wait)
    raise AssertionError("nobody slowed the stranger down")


@pytest.mark.parametrize(
    "addresses", [[HERE], [f"192.0.2.{number}" for number in range(9)]], ids=["same", "others"]
)
def test_strangers_do_not_keep_the_owner_out(
    client: Client, services: Services, clock: FakeClock, addresses: list[str]
) -> None:
    known(client)
    keep_out(client, clock, addresses)
    # Another browser of the owner's waits, as everybody does, whatever they know.
    unknown = client.application.test_client()
    refused = sign_in(unknown, at="198.51.100.1")
    assert (refused.status_code, refused.json["code"]) == (429, "too_many_requests")
    assert sign_in(client).status_code == 200
    # Which gives the strangers no new guesses.
    assert sign_in(unknown, "guess", at=AWAY).status_code == 429


def test_who_fails_too_often_counts_as_a_stranger(
    client: Client, services: Services, clock: FakeClock
) -> None:
    stolen = known(client)
    keep_out(client, clock, [AWAY])
    thief = client.application.test_client()
    thief.set_cookie(cookies.BROWSER, stolen)
    tried = [sign_in(thief, "guess").status_code for _ in range(throttle.FREE_BY_ACCOUNT + 2)]
    assert tried == [401] * (throttle.FREE_BY_ACCOUNT + 1) + [429]
    assert sign_in(thief).status_code == 429
    # One more guess for each wait, which doubles: as many as any stranger has.
    for wait in (2, 4, 8):
        clock.advance(wait)
        assert sign_in(thief, "guess").status_code == 401
        assert sign_in(thief, "guess").status_code == 429
    clock.advance(16)
    assert sign_in(thief).status_code == 200


def test_who_has_taken_a_cookie_keeps_nobody_out_with_it(
    client: Client, services: Services
) -> None:
    thief = client.application.test_client()
    thief.set_cookie(cookies.BROWSER, known(client))
    for _ in range(throttle.FREE_BY_ACCOUNT + 1):
        assert sign_in(thief, "guess").status_code == 401
    # The owner's browser counts as any other now, and of these none has failed.
    assert sign_in(client).status_code == 200


def test_other_cookies_gain_nothing(client: Client, services: Services, clock: FakeClock) -> None:
    own, others = known(client), known(client.application.test_client(), OTHER)
    id_, _, signature = own.partition(".")
    user_id = sign_in(client).json["user"]["id"]
    forged = [
        others,
        id_,
        f"{id_}.",
        f".{signature}",
        f"{id_}.{signature[:-1]}",
        f"{id_}.{others.partition('.')[2]}",
        f"{others.partition('.')[0]}.{signature}",
        throttle.new_browser(user_id, f"{PASSWORD_HASH}x"),
        throttle.new_browser("", QUICK.nobody),
        f"{id_}.{cookies.sign(services.secret_key, 'session', id_)}",
        "한글.b",
    ]
    # The same where there is no account.
    for email in (WHO, "nobody@example.org"):
        keep_out(client, clock, [AWAY], email)
        for value in forged:
            browser = client.application.test_client()
            browser.set_cookie(cookies.BROWSER, value)
            assert sign_in(browser, email=email).status_code == 429, value
    assert sign_in(client).status_code == 200


def kept(response: Any, name: str) -> "Morsel[str]":
    """A cookie that the response sets."""
    (line,) = [one for one in response.headers.getlist("Set-Cookie") if one.startswith(f"{name}=")]
    return SimpleCookie(line)[name]


def test_cookie_is_out_of_reach_and_names_nobody(client: Client, services: Services) -> None:
    response = sign_in(client)
    plain = kept(response, "likeopt_browser")
    assert (plain["httponly"], plain["samesite"], plain["path"]) == (True, "Lax", "/")
    assert (plain["secure"], plain["domain"]) == ("", "")
    assert plain["max-age"] == str(365 * 24 * 60 * 60)
    user = response.json["user"]
    again = kept(sign_in(client), "likeopt_browser")
    for told in (WHO, user["id"], user["name"], PASSWORD_HASH.rpartition("$")[2]):
        assert told not in plain.value
    # Nor does it show that two browsers are of one person.
    assert not set(plain.value.split(".")) & set(again.value.split("."))
    tls = {"wsgi.url_scheme": "https"}
    body = {"email": WHO, "password": PASSWORD}
    secure = client.post(STATE, json=body, environ_overrides=tls)
    assert kept(secure, "__Host-likeopt_browser")["secure"]


def test_who_signs_in_elsewhere_makes_no_browser_known(services: Services) -> None:
    # Whoever can do that could else guess at the password with ever new cookies.
    user = let_in(services, "new@example.org").user
    assert services.accounts.open_session(user.id, CLIENT, how="oidc").browser == ""


def test_a_new_password_is_known_where_it_was_chosen_only(
    client: Client, services: Services, clock: FakeClock
) -> None:
    elsewhere = client.application.test_client()
    known(elsewhere)
    known(client)
    csrf = sign_in(client).json["csrf"]
    headers = {"X-CSRF-Token": csrf}
    # Who signs out everywhere has given nobody their password.
    assert client.delete("/api/v1/me/sessions", headers=headers).status_code == 200
    keep_out(client, clock, [AWAY])
    assert sign_in(elsewhere).status_code == 200
    body = {"current": PASSWORD, "new": NEW}
    changed = client.post("/api/v1/me/password", json=body, headers=headers)
    assert changed.status_code == 204
    assert sign_in(elsewhere, NEW, at="198.51.100.1").status_code == 429
    assert sign_in(client, NEW).status_code == 200
