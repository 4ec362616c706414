"""Signing in with a real OpenID Connect provider, and with one that lies."""

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import msgspec
import pytest
import urllib3
from flask import Flask, jsonify, request
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from werkzeug.serving import make_server

from likeopt.config import Config
from likeopt.services import Services
from likeopt.storage import audit, links, people
from likeopt.web.app import create_app
from tests.servers import free_port, known_to_provider, openid_provider
from tests.web.conftest import PASSWORD, Client, let_in, serving

ANN = "ann@example.org"
START, CALLBACK, STATE = "/api/v1/oidc/start", "/api/v1/oidc/callback", "/api/v1/session"
HTTP = urllib3.PoolManager(retries=False, timeout=20)


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with openid_provider() as url:
        yield url


@pytest.fixture
def config(config: Config, issuer: str) -> Config:
    return with_provider(config, issuer)


def with_provider(config: Config, issuer: str) -> Config:
    return msgspec.structs.replace(
        config,
        guest=False,
        oidc_issuer=issuer,
        oidc_client_id="like-opt",
        oidc_client_secret="hidden",
        oidc_name="Acme",
    )


def browser(services: Services, config: Config) -> Client:
    """A client of an application with other settings."""
    services.config = config
    return create_app(config, services, write=lambda _: None).test_client()


def agree(address: str, sub: str, **changed: str) -> str:
    """Say at the provider who one is; the address that it sends the browser back to."""
    parts = urlsplit(address)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()} | changed
    url = parts._replace(query=urlencode(query)).geturl()
    answer = HTTP.request("POST", url, fields={"sub": sub}, encode_multipart=False, redirect=False)
    assert answer.status == 302, answer.data
    back = urlsplit(answer.headers["Location"])
    return f"{back.path}?{back.query}"


def begin(client: Client) -> str:
    response = client.get(START)
    assert response.status_code == 302
    address: str = response.headers["Location"]
    return address


def sign_in(client: Client, sub: str) -> str:
    """Where the browser stands in the end."""
    where: str = client.get(agree(begin(client), sub)).headers["Location"]
    return where


def noted(services: Services, action: str) -> list[audit.Event]:
    return services.db.read(lambda c: audit.list_(c, audit.Filters(action=action))).items


def test_a_member_signs_in_with_the_address_that_the_provider_verified(
    client: Client, services: Services, issuer: str
) -> None:
    member = let_in(services, ANN).user
    known_to_provider(issuer, "ann", email=ANN.upper(), email_verified=True, name="Ann")
    assert client.get(STATE).json["oidc"] == "Acme"
    assert sign_in(client, "ann") == "/"
    state = client.get(STATE).json
    assert (state["user"]["id"], state["via"]) == (member.id, "session")
    assert client.get("/api/v1/info").status_code == 200
    assert noted(services, "session.create")[0].detail == {"how": "oidc"}
    assert noted(services, "user.link")[0].object_id == member.id
    # From now on the provider's own id counts: addresses change.
    known_to_provider(issuer, "ann", email="ann.new@example.org", email_verified=True)
    assert sign_in(client, "ann") == "/"
    assert client.get(STATE).json["user"]["id"] == member.id
    assert len(noted(services, "user.link")) == 1


def test_an_invitation_is_used(client: Client, services: Services, issuer: str) -> None:
    clock = services.clock
    services.db.write(
        lambda c: links.create(c, clock, "invite", email="eve@example.org", role="admin")
    )
    known_to_provider(
        issuer, "eve", email="eve@example.org", email_verified=True, name=" Eve\n \x07Doe "
    )
    assert sign_in(client, "eve") == "/"
    user = client.get(STATE).json["user"]
    assert (user["name"], user["role"], user["has_password"]) == ("Eve Doe", "admin", False)
    assert services.db.read(lambda c: links.invitations(c, clock)) == []
    assert noted(services, "link.use")[0].actor_id == user["id"]


@pytest.mark.parametrize("verified", [False, None, "true", 1])
def test_an_address_that_is_not_verified_is_nobodys(
    client: Client, services: Services, issuer: str, verified: object
) -> None:
    let_in(services, ANN)
    services.db.write(
        lambda c: links.create(c, services.clock, "invite", email="new@example.org", role="member")
    )
    for email in (ANN, "new@example.org"):
        known_to_provider(issuer, "liar", email=email, email_verified=verified)
        assert sign_in(client, "liar") == "/sign-in#email_unverified"
    assert client.get(STATE).json["user"] is None
    assert len(services.db.read(lambda c: links.invitations(c, services.clock))) == 1


def invited_as(client: Client, services: Services, email: str) -> str:
    """The id of somebody who opened an invitation without an address, and typed this one."""
    _, token = services.db.write(lambda c: links.create(c, services.clock, "invite", role="member"))
    accepted = client.post(
        "/api/v1/link/accept",
        json={"token": token, "password": PASSWORD, "name": "Mallory", "email": email},
    )
    assert accepted.status_code == 200, accepted.text
    user_id: str = accepted.json["user"]["id"]
    return user_id


def administrator(app: Flask, services: Services) -> tuple[Client, dict[str, str]]:
    """A client signed in as one, and the headers of its changes."""
    let_in(services, "boss@example.org", role="admin")
    boss: Client = app.test_client()
    signed_in = boss.post(STATE, json={"email": "boss@example.org", "password": PASSWORD})
    return boss, {"X-CSRF-Token": signed_in.json["csrf"]}


def test_who_types_the_address_of_a_colleague_does_not_get_them(
    app: Flask, client: Client, services: Services, issuer: str
) -> None:
    mallory = invited_as(client, services, ANN)
    known_to_provider(issuer, "ann", email=ANN, email_verified=True)
    colleague: Client = app.test_client()
    # The colleague does not land in the account of somebody who knows its password.
    assert sign_in(colleague, "ann") == "/sign-in#email_unconfirmed"
    assert colleague.get(STATE).json["user"] is None
    assert noted(services, "user.link") == []
    assert noted(services, "session.refuse")[0].detail["code"] == "email_unconfirmed"
    # An invitation would go to waste.
    boss, csrf = administrator(app, services)
    again = boss.post("/api/v1/invitations", json={"email": ANN}, headers=csrf)
    assert again.status_code == 409
    # What the administrator does about it: the account loses the address, the colleague is invited.
    listed = {one["id"]: one for one in boss.get("/api/v1/users").json["items"]}
    assert listed[mallory]["email_confirmed"] is False
    moved = {"email": "mallory@example.org", "disabled": True}
    assert boss.patch(f"/api/v1/users/{mallory}", json=moved, headers=csrf).status_code == 200
    assert boss.post("/api/v1/invitations", json={"email": ANN}, headers=csrf).status_code == 201
    assert sign_in(colleague, "ann") == "/"
    assert colleague.get(STATE).json["user"]["id"] != mallory


def test_whoever_has_a_typed_address_at_the_provider_does_not_get_the_account(
    app: Flask, client: Client, services: Services, issuer: str
) -> None:
    """The reverse: a mistyped address may be somebody else's, who must not get in by it."""
    typed = invited_as(client, services, "ann@exmaple.org")
    known_to_provider(issuer, "other", email="ann@exmaple.org", email_verified=True)
    other: Client = app.test_client()
    assert sign_in(other, "other") == "/sign-in#email_unconfirmed"
    # Nor does somebody who is signed in with a password get linked by passing through.
    known_to_provider(issuer, "ann", email=ANN, email_verified=True)
    assert sign_in(client, "ann") == "/sign-in#invitation_needed"
    assert noted(services, "user.link") == []
    assert client.get(STATE).json["user"]["id"] == typed


def test_an_address_that_an_administrator_confirms_links(
    app: Flask, client: Client, services: Services, issuer: str
) -> None:
    typed = invited_as(client, services, ANN)
    known_to_provider(issuer, "ann", email=ANN, email_verified=True)
    boss, csrf = administrator(app, services)
    confirmed = boss.patch(f"/api/v1/users/{typed}", json={"email": ANN}, headers=csrf).json
    assert confirmed["email_confirmed"] is True
    ann: Client = app.test_client()
    assert sign_in(ann, "ann") == "/"
    assert ann.get(STATE).json["user"]["id"] == typed


def test_nobody_confirms_their_own_address(client: Client, services: Services) -> None:
    typed = invited_as(client, services, ANN)
    csrf = {"X-CSRF-Token": client.get(STATE).json["csrf"]}
    refused = client.patch(f"/api/v1/users/{typed}", json={"email": ANN}, headers=csrf)
    assert refused.status_code == 403
    assert client.patch("/api/v1/me", json={"email": ANN}, headers=csrf).status_code == 400
    assert client.patch("/api/v1/me", json={"name": "Ann"}, headers=csrf).status_code == 200
    assert not services.db.read(lambda c: people.get(c, typed)).email_confirmed


def test_strangers_the_disabled_and_heirs_of_an_address_are_refused(
    client: Client, services: Services, issuer: str
) -> None:
    known_to_provider(issuer, "nobody", email="nobody@example.org", email_verified=True)
    assert sign_in(client, "nobody") == "/sign-in#invitation_needed"
    member = let_in(services, ANN).user
    known_to_provider(issuer, "first", email=ANN, email_verified=True)
    known_to_provider(issuer, "heir", email=ANN, email_verified=True)
    assert sign_in(client, "first") == "/"
    assert sign_in(client, "heir") == "/sign-in#oidc_other"
    services.db.write(lambda c: people.update(c, member.id, disabled=True))
    assert sign_in(client, "first") == "/sign-in#account_disabled"
    refusals = [one.detail["code"] for one in noted(services, "session.refuse")]
    assert refusals == ["account_disabled", "oidc_other", "invitation_needed"]


def test_a_sign_in_belongs_to_the_browser_that_began_it(
    app: Flask, client: Client, services: Services, issuer: str
) -> None:
    let_in(services, ANN)
    known_to_provider(issuer, "ann", email=ANN, email_verified=True)
    other: Client = app.test_client()
    begin(other)
    back = agree(begin(client), "ann")
    expired = "/sign-in#oidc_expired"
    assert other.get(back).headers["Location"] == expired
    assert app.test_client().get(back).headers["Location"] == expired
    cookie = client.get_cookie("likeopt_oidc")
    assert cookie is not None
    assert (cookie.http_only, cookie.same_site, cookie.max_age) == (True, "Lax", 600)
    client.set_cookie("likeopt_oidc", cookie.value[:-1] + "_")
    assert client.get(back).headers["Location"] == expired
    client.set_cookie("likeopt_oidc", cookie.value)
    assert client.get(back).headers["Location"] == "/"
    # Neither the address alone nor the cookie with it lets anybody in again.
    assert client.get(back).headers["Location"] == expired
    client.set_cookie("likeopt_oidc", cookie.value)
    assert client.get(back).headers["Location"] == "/sign-in#oidc_refused"


def test_what_the_provider_was_asked_is_what_it_must_answer(
    client: Client, services: Services, issuer: str
) -> None:
    let_in(services, ANN)
    known_to_provider(issuer, "ann", email=ANN, email_verified=True)
    address = begin(client)
    asked = parse_qs(urlsplit(address).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["redirect_uri"] == [f"http://localhost{CALLBACK}"]
    refused = "/sign-in#oidc_refused"
    assert client.get(agree(address, "ann", nonce="other")).headers["Location"] == refused
    assert client.get(agree(begin(client), "ann") + "&iss=http://x").headers["Location"] == refused
    # Somebody who says no, and a code that nobody gave.
    state = parse_qs(urlsplit(begin(client)).query)["state"][0]
    denied = client.get(f"{CALLBACK}?error=access_denied&state={state}")
    assert denied.headers["Location"] == refused
    state = parse_qs(urlsplit(begin(client)).query)["state"][0]
    assert client.get(f"{CALLBACK}?code=x&state={state}").headers["Location"] == refused
    assert client.get(STATE).json["user"] is None


def test_the_server_of_the_address_that_people_use_is_returned_to(
    config: Config, services: Services
) -> None:
    public = msgspec.structs.replace(config, public_url="https://chat.example.org")
    address = begin(browser(services, public))
    asked = parse_qs(urlsplit(address).query)
    assert asked["redirect_uri"] == [f"https://chat.example.org{CALLBACK}"]


def test_other_sites_do_not_begin_a_sign_in(client: Client) -> None:
    for site in ("cross-site", "same-site"):
        response = client.get(START, headers={"Sec-Fetch-Site": site})
        assert response.headers["Location"] == "/sign-in"
        assert "Set-Cookie" not in response.headers
    for site in ("same-origin", "none"):
        assert "code_challenge" in client.get(START, headers={"Sec-Fetch-Site": site}).location


def test_nobody_is_sent_to_another_host(client: Client, services: Services, issuer: str) -> None:
    let_in(services, ANN)
    known_to_provider(issuer, "ann", email=ANN, email_verified=True)
    there = "https://evil.example.org"
    asked = "&".join(f"{name}={there}" for name in ("next", "redirect_uri", "return_to"))
    started = client.get(f"{START}?{asked}").headers["Location"]
    assert started.startswith(f"{issuer}/")
    assert there not in started
    # What comes back, too, decides about the session only.
    assert client.get(f"{agree(started, 'ann')}&{asked}").headers["Location"] == "/"
    assert (
        client.get(f"{CALLBACK}?error={there}&{asked}")
        .headers["Location"]
        .startswith("/sign-in#oidc_")
    )
    assert client.get(START, headers={"Host": "evil.example.org"}).status_code == 421


def test_a_provider_that_is_down(config: Config, services: Services) -> None:
    client = browser(services, with_provider(config, f"http://127.0.0.1:{free_port()}"))
    assert client.get(START).headers["Location"] == "/sign-in#oidc_unavailable"
    assert client.get(STATE).status_code == 200


def test_a_whole_server(config: Config, issuer: str) -> None:
    known_to_provider(issuer, "nobody", email="nobody@example.org", email_verified=True)
    with serving(config) as server:
        first = server.request("GET", START, redirect=False)
        cookie = first.headers["Set-Cookie"].partition(";")[0]
        back = agree(first.headers["Location"], "nobody")
        last = server.request("GET", back, redirect=False, headers={"Cookie": cookie})
        assert last.headers["Location"] == "/sign-in#invitation_needed"


# -- a provider that lies ------------------------------------------------------------------------

KEY = RSAKey.generate_key(2048, {"kid": "a", "use": "sig"})
Token = Callable[[dict[str, Any]], str]


def signed(key: Any = KEY, alg: str = "RS256", **changed: Any) -> Token:
    """A token that says what it should but for `changed`."""

    def make(claims: dict[str, Any]) -> str:
        header = {"alg": alg, "kid": "a"}
        return jwt.encode(header, claims | changed, key, algorithms=[alg])

    return make


def unsigned(claims: dict[str, Any]) -> str:
    """A token whose header says that it has no signature."""
    _, payload, _ = signed()(claims).split(".")
    return f"eyJhbGciOiJub25lIn0.{payload}."


class Liar:
    """A provider that hands out whatever token the test makes."""

    def __init__(self) -> None:
        self.app = Flask("liar")
        self.token = ""
        self.keys = KEY
        self.url = ""
        self.asked: dict[str, str] = {}
        self.refuses = ""
        self.app.add_url_rule("/.well-known/openid-configuration", view_func=self.discovery)
        self.app.add_url_rule(
            "/keys", view_func=lambda: {"keys": [self.keys.as_dict(private=False)]}
        )
        self.app.add_url_rule(
            "/token",
            methods=["POST"],
            endpoint="token",
            view_func=self.redeem,
        )

    def redeem(self) -> Any:
        """The token for a code, or why there is none."""
        self.asked = request.form.to_dict()
        if self.refuses:
            return {"error": self.refuses}, 400
        return {"id_token": self.token, "access_token": "x"}

    def discovery(self) -> Any:
        """The document that names the other addresses."""
        return jsonify(
            issuer=self.url,
            authorization_endpoint=f"{self.url}/authorize",
            token_endpoint=f"{self.url}/token",
            jwks_uri=f"{self.url}/keys",
        )


@pytest.fixture
def liar() -> Iterator[Liar]:
    made = Liar()
    server = make_server("127.0.0.1", 0, made.app, threaded=True)
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


def told(client: Client, liar: Liar, token: Token) -> str:
    """Where the browser stands after the provider has handed out `token`."""
    asked = parse_qs(urlsplit(begin(client)).query)
    now = int(time.time())
    liar.token = token(
        {
            "iss": liar.url,
            "aud": "like-opt",
            "sub": "ann",
            "nonce": asked["nonce"][0],
            "iat": now,
            "exp": now + 300,
            "email": ANN,
            "email_verified": True,
        }
    )
    where: str = client.get(f"{CALLBACK}?code=x&state={asked['state'][0]}").headers["Location"]
    return where


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(signed(aud="another", azp="like-opt"), id="audience"),
        pytest.param(signed(aud=["like-opt", "another"], azp="another"), id="party"),
        pytest.param(signed(iss="https://id.example.org"), id="issuer"),
        pytest.param(signed(exp=1), id="expired"),
        pytest.param(signed(nonce="another"), id="nonce"),
        pytest.param(signed(nonce=None), id="no nonce"),
        pytest.param(signed(RSAKey.generate_key(2048)), id="another's key"),
        pytest.param(
            signed(OctKey.import_key(json.dumps(KEY.as_dict(private=False))), "HS256"),
            id="public key as secret",
        ),
        pytest.param(unsigned, id="no signature"),
        pytest.param(lambda _: "x.y.z", id="no token"),
    ],
)
def test_tokens_that_prove_nothing(
    config: Config, services: Services, liar: Liar, token: Token
) -> None:
    let_in(services, ANN)
    client = browser(services, with_provider(config, liar.url))
    assert told(client, liar, token) == "/sign-in#oidc_refused"
    assert client.get(STATE).json["user"] is None
    assert told(client, liar, signed()) == "/"


def test_a_provider_that_is_another(config: Config, services: Services, liar: Liar) -> None:
    client = browser(services, with_provider(config, liar.url))
    liar.url = "https://id.example.org"
    assert client.get(START).headers["Location"] == "/sign-in#oidc_unavailable"


def test_the_code_is_redeemed_with_a_verifier_that_no_browser_saw(
    config: Config, services: Services, liar: Liar
) -> None:
    client = browser(services, with_provider(config, liar.url))
    seen = parse_qs(urlsplit(begin(client)).query)
    cookie = client.get_cookie("likeopt_oidc").value
    client.get(f"{CALLBACK}?code=x&state={seen['state'][0]}")
    verifier = liar.asked["code_verifier"]
    digest = hashlib.sha256(verifier.encode()).digest()
    assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == seen["code_challenge"][0]
    # RFC 7636, 4.1.
    assert 43 <= len(verifier) <= 128
    assert verifier not in cookie + json.dumps(seen)
    # Each sign-in has secrets of its own.
    other = parse_qs(urlsplit(begin(client)).query)
    for name in ("state", "nonce", "code_challenge"):
        assert other[name] != seen[name]


def test_a_token_of_an_earlier_sign_in_is_refused(
    config: Config, services: Services, liar: Liar
) -> None:
    let_in(services, ANN)
    client = browser(services, with_provider(config, liar.url))
    assert told(client, liar, signed()) == "/"
    stolen = liar.token
    assert told(client, liar, lambda _: stolen) == "/sign-in#oidc_refused"


def test_a_provider_that_refuses_our_own_secret(
    config: Config, services: Services, liar: Liar, caplog: pytest.LogCaptureFixture
) -> None:
    """It is the operator's to do something about, not the visitor's to try again."""
    client = browser(services, with_provider(config, liar.url))
    liar.refuses = "invalid_client"
    assert told(client, liar, signed()) == "/sign-in#oidc_unavailable"
    assert "LIKEOPT_OIDC_CLIENT_ID" in caplog.text
    assert "hidden" not in caplog.text
    liar.refuses = "invalid_grant"
    assert told(client, liar, signed()) == "/sign-in#oidc_refused"
