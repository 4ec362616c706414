"""Signing in with an OpenID Connect provider: there, and back with its word.

The server keeps nothing in between: the browser's cookie holds a signed `state`.
"""

import hmac
from typing import TYPE_CHECKING, Annotated

import msgspec
from flask import Flask, Response, current_app, request
from msgspec import Meta

from likeopt.errors import ConfigError, LikeOptError, NotFound, Unauthorized
from likeopt.services import Services
from likeopt.storage.tokens import new_token
from likeopt.web import auth, cache_control, context, cookies
from likeopt.web.context import services
from likeopt.web.endpoint import Endpoints

if TYPE_CHECKING:
    from likeopt.web.oidc import Provider

oidc = Endpoints("oidc", tag="Sign-in", prefix="/api/v1/oidc")

COOKIE = "likeopt_oidc"
# As long as somebody may take at the provider.
LIFETIME_SECONDS = 600

_EXTENSION = "likeopt-oidc"

Text = Annotated[str, Meta(max_length=4000)]


class ProviderAnswer(msgspec.Struct):
    """What the provider has the browser bring: a code, or an error."""

    code: Text = ""
    state: Text = ""
    error: Text = ""
    iss: Text = ""


@oidc.operation(
    "GET",
    "/start",
    summary="Sign in with the OpenID Connect provider",
    detail=(
        "Sends the browser to the provider; to the page for signing in if the provider does not"
        " answer, or if another site sent the browser here."
    ),
    status=302,
    errors=(NotFound,),
    access="public",
    limit="default",
)
def start() -> Response:
    provider = _provider()
    if request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site"):
        # Who still has a session at the provider would be signed in without having asked for it.
        return _to("/sign-in")
    expires = services().clock.now_ms() // 1000 + LIFETIME_SECONDS
    state = f"{new_token()}.{expires}"
    try:
        response = _to(provider.address(_back(), state))
    except LikeOptError as error:
        return _to_sign_in(error)
    signature = cookies.sign(services().secret_key, "oidc", state)
    cookies.keep(response, COOKIE, f"{state}.{signature}", LIFETIME_SECONDS)
    return response


@oidc.operation(
    "GET",
    "/callback",
    summary="Back from the OpenID Connect provider",
    detail="Sends the browser to the page, signed in, or to `/sign-in#` and the error's code.",
    query=ProviderAnswer,
    status=302,
    errors=(NotFound,),
    access="public",
    limit="default",
)
def callback(query: ProviderAnswer) -> Response:
    provider = _provider()
    try:
        if not query.error:
            # Some providers leave `state` out when somebody declines, and that lets nobody in.
            _require_asked(query.state)
        if query.error or not query.code or (query.iss and not provider.is_issuer(query.iss)):
            raise Unauthorized("The provider did not confirm who you are.", code="oidc_refused")
        proved = provider.identity(query.code, _back(), query.state)
        made = services().accounts.sign_in_with(proved, context.client())
    except LikeOptError as error:
        response = _to_sign_in(error)
    else:
        response = _to("/")
        auth.begin(response, made.cookie_id)
    # Each question has one answer.
    cookies.forget(response, COOKIE)
    return response


def _require_asked(state: str) -> None:
    """Unauthorized unless `state` is that of this browser's cookie."""
    value, _, signature = request.cookies.get(cookies.name(COOKIE), "").rpartition(".")
    if (
        not cookies.is_signed(services().secret_key, "oidc", value, signature)
        or not hmac.compare_digest(value.encode(), state.encode())
        or int(value.rpartition(".")[2]) < services().clock.now_ms() // 1000
    ):
        raise Unauthorized("This sign-in was begun elsewhere or too long ago.", code="oidc_expired")


def _back() -> str:
    """The address that is registered with the provider."""
    origin = services().config.public_url or request.host_url.rstrip("/")
    return f"{origin}/api/v1/oidc/callback"


def _to(address: str) -> Response:
    headers = {"Location": address, "Cache-Control": cache_control.PERSONAL}
    return Response(status=302, headers=headers)


def _to_sign_in(error: LikeOptError) -> Response:
    return _to(f"/sign-in#{error.instance_code}")


def _provider() -> "Provider":
    found: Provider | None = current_app.extensions.get(_EXTENSION)
    if found is None:
        raise NotFound("This server has no OpenID Connect provider.")
    return found


def install(app: Flask, services: Services) -> None:
    """Give `app` the provider that the settings name, if they do."""
    if not services.config.oidc_issuer:
        return
    try:
        from likeopt.web.oidc import Provider  # noqa: PLC0415  (an extra)
    except ImportError:
        raise ConfigError("LIKEOPT_OIDC_ISSUER needs the extra `oidc`") from None
    app.extensions[_EXTENSION] = Provider(services)
