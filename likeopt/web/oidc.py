"""An OpenID Connect provider: the authorization code flow with PKCE, as its client.

https://openid.net/specs/openid-connect-core-1_0.html (3.1), RFC 7636, RFC 9700.
"""

import logging
import ssl
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
import urllib3
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from likeopt.accounts import ProvedIdentity
from likeopt.errors import ProviderUnavailable, Unauthorized
from likeopt.services import Services
from likeopt.web import cookies

T = TypeVar("T")

# Only signatures that nobody but the provider can make: no `none`, and no HMAC, for which an
# attacker could take a public key as the secret (RFC 8725, 3.1).
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]
# The ways of proving who we are to the provider, ours first.
SECRET_METHODS = ("client_secret_basic", "client_secret_post")
# Providers announce changes of their keys by hours.
CACHE_SECONDS = 3600.0
# A token signed with a key that is not known yet has the keys fetched again, but not by everyone.
FRESH_SECONDS = 30.0
TIMEOUT = urllib3.Timeout(connect=5, read=10)
ANSWER_BYTES = 1 << 20
# Clocks that differ.
LEEWAY_SECONDS = 60

_log = logging.getLogger(__name__)


class Discovery(msgspec.Struct):
    """What a provider says about itself; the defaults are those of OpenID Connect Discovery 1.0, 3,
    and of RFC 8414, 2."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    response_types_supported: tuple[str, ...] = ("code",)
    id_token_signing_alg_values_supported: tuple[str, ...] = ("RS256",)
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    code_challenge_methods_supported: tuple[str, ...] = ()

    def problem(self, issuer: str) -> str:
        """Why nobody can sign in with the provider that the settings call `issuer`, or nothing."""
        scheme = issuer.partition(":")[0]
        addresses = (self.authorization_endpoint, self.token_endpoint, self.jwks_uri)
        if self.issuer != issuer:
            return f"it calls itself {self.issuer!r}, not {issuer!r}"
        if not all(a.startswith(("https://", f"{scheme}://")) for a in addresses):
            return "it names addresses without TLS"
        if "code" not in self.response_types_supported:
            return "it has no authorization code flow"
        algorithms = self.id_token_signing_alg_values_supported
        if not set(algorithms) & set(ALGORITHMS):
            return f"it signs ID tokens with {', '.join(algorithms)} only"
        if not set(self.token_endpoint_auth_methods_supported) & set(SECRET_METHODS):
            return "it takes no client secret"
        return ""


def discovery_address(issuer: str) -> str:
    """Where `issuer` describes itself."""
    return f"{issuer.rstrip('/')}/.well-known/openid-configuration"


def key_set(data: bytes) -> KeySet:
    """The provider's keys, of a JWKS; ValueError if they cannot be read."""
    try:
        found = msgspec.json.decode(data, type=_Keys).keys
        return KeySet.import_key_set({"keys": found})
    except (msgspec.DecodeError, UnicodeDecodeError, JoseError, KeyError, TypeError) as error:
        raise ValueError(str(error)) from None


class _Keys(msgspec.Struct):
    keys: list[dict[str, Any]]


class _Failure(msgspec.Struct):
    error: str = ""


class _Token(msgspec.Struct):
    id_token: str
    access_token: str


class _Claims(msgspec.Struct):
    sub: str
    email: str | None = None
    # Anything but true, whatever its type, is no.
    email_verified: Any = None
    name: str | None = None


class Provider:
    """The provider that the settings name. Nothing is fetched before it is needed.

    `state` is what one browser's sign-in is known by, and nobody else's. From it, with the server's
    key, come the nonce, and PKCE's verifier, which no browser ever sees.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._clock = services.clock
        self._issuer = services.config.oidc_issuer
        self._client_id = services.config.oidc_client_id
        self._client_secret = services.config.oidc_client_secret
        self._http: urllib3.PoolManager | None = None
        self._discovery: tuple[float, Discovery] | None = None
        self._keys: tuple[float, Any] | None = None

    def address(self, back: str, state: str) -> str:
        """Where the browser goes to sign in; it is sent on to `back`.

        Raises ProviderUnavailable.
        """
        address: str = prepare_grant_uri(
            self._discovered().authorization_endpoint,
            client_id=self._client_id,
            response_type="code",
            redirect_uri=back,
            scope="openid email profile",
            state=state,
            nonce=self._secret("nonce", state),
            code_challenge=create_s256_code_challenge(self._secret("verifier", state)),
            code_challenge_method="S256",
        )
        return address

    def identity(self, code: str, back: str, state: str) -> ProvedIdentity:
        """Whom the provider vouches for with the code that it gave the browser.

        Raises Unauthorized with the code `oidc_refused` if it does not, ProviderUnavailable.
        """
        token = self._token(code, back, state)
        for age in (CACHE_SECONDS, FRESH_SECONDS):
            try:
                return self._checked(token, self._key_set(age), state)
            except (JoseError, ValueError, msgspec.ValidationError) as error:
                why = error
        raise _refused(f"its ID token is not valid: {why}")

    def is_issuer(self, issuer: str) -> bool:
        """Whether an answer that names its issuer is this provider's (RFC 9207)."""
        return issuer == self._issuer

    def _secret(self, purpose: str, state: str) -> str:
        return cookies.sign(self._services.secret_key, f"oidc-{purpose}", state)

    def _token(self, code: str, back: str, state: str) -> _Token:
        found = self._discovered()
        body = prepare_token_request(
            "authorization_code",
            redirect_uri=back,
            code=code,
            code_verifier=self._secret("verifier", state),
        )
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        method = next(m for m in SECRET_METHODS if m in found.token_endpoint_auth_methods_supported)
        url, headers, body = ClientAuth(self._client_id, self._client_secret, method).prepare(
            "POST", found.token_endpoint, headers, body
        )
        status, data = self._request("POST", url, body=body, headers=headers)
        if 400 <= status < 500:
            why = data[:300].decode("utf-8", "replace")
            # RFC 6749, 5.2: it is us and not the person whom it does not know.
            if _error_of(data) in ("invalid_client", "unauthorized_client"):
                raise _unavailable(f"it refuses LIKEOPT_OIDC_CLIENT_ID and _SECRET: {why}")
            raise _refused(why)
        return _decoded(status, data, _Token, "token")

    def _checked(self, token: _Token, keys: Any, state: str) -> ProvedIdentity:
        registry = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
        decoded = jwt.decode(token.id_token, keys, registry=registry)
        claims = CodeIDToken(
            decoded.claims,
            decoded.header,
            {
                "iss": {"essential": True, "value": self._issuer},
                "aud": {"essential": True, "value": self._client_id},
            },
            {
                "nonce": self._secret("nonce", state),
                "client_id": self._client_id,
                "access_token": token.access_token,
            },
        )
        claims.validate(now=self._clock.now_ms() // 1000, leeway=LEEWAY_SECONDS)
        known = msgspec.convert(dict(claims), _Claims)
        return ProvedIdentity(
            subject=f"{self._issuer} {known.sub}",
            email=(known.email or "") if known.email_verified is True else "",
            name=known.name or "",
        )

    def _discovered(self) -> Discovery:
        if self._discovery is None or self._is_old(self._discovery[0], CACHE_SECONDS):
            answer = self._request("GET", discovery_address(self._issuer))
            found = _decoded(*answer, Discovery, "discovery")
            problem = found.problem(self._issuer)
            if problem:
                raise _unavailable(problem)
            self._discovery = self._clock.monotonic(), found
        return self._discovery[1]

    def _key_set(self, age: float) -> Any:
        """The provider's keys, fetched again if what is known is `age` seconds old."""
        if self._keys is None or self._is_old(self._keys[0], age):
            status, data = self._request("GET", self._discovered().jwks_uri)
            if status != 200:
                raise _unavailable(f"its keys endpoint answered {status}")
            try:
                keys = key_set(data)
            except ValueError as error:
                raise _unavailable(f"its keys cannot be read: {error}") from None
            self._keys = self._clock.monotonic(), keys
        return self._keys[1]

    def _is_old(self, since: float, age: float) -> bool:
        return self._clock.monotonic() - since > age

    def _request(self, method: str, url: str, **options: Any) -> tuple[int, bytes]:
        """Status and body. Redirects are not followed: none of these addresses has one."""
        if self._http is None:
            # Reading the system's certificates takes 20 ms.
            trusted = self._services.run(ssl.create_default_context)
            self._http = urllib3.PoolManager(ssl_context=trusted, retries=False, timeout=TIMEOUT)
        try:
            response = self._http.request(
                method, url, redirect=False, preload_content=False, **options
            )
            data = response.read(ANSWER_BYTES + 1)
        except urllib3.exceptions.HTTPError as error:
            raise _unavailable(str(error)) from None
        if len(data) > ANSWER_BYTES:
            response.close()
            raise _unavailable(f"its answer is larger than {ANSWER_BYTES >> 20} MiB")
        return response.status, data


def _decoded(status: int, data: bytes, kind: Callable[..., T], what: str) -> T:
    if status != 200:
        raise _unavailable(f"its {what} endpoint answered {status}")
    try:
        found: T = msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unavailable(f"its {what} endpoint answered something else: {error}") from None
    return found


def _error_of(data: bytes) -> str:
    try:
        return msgspec.json.decode(data, type=_Failure).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def _refused(why: str) -> Unauthorized:
    _log.warning("the OpenID Connect provider refused a sign-in: %s", why)
    return Unauthorized("The provider did not confirm who you are.", code="oidc_refused")


def _unavailable(why: str) -> ProviderUnavailable:
    _log.warning("the OpenID Connect provider is unavailable: %s", why)
    return ProviderUnavailable("The provider for signing in does not answer as it should.")
