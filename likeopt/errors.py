"""Every error that Like-Opt raises on purpose, in one tree.

Each class carries what the outermost handler needs: a stable `code` for programs, an HTTP
`status`, whether trying again can help (`retryable`), and a sentence for a person that says
what to do. The web layer turns them into RFC 9457 problem details, the command line into one
line on stderr and an exit code.
"""

import sys
from typing import ClassVar


class LikeOptError(Exception):
    """Base of the tree; never raised itself."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        retry_after: float | None = None,
        **details: object,
    ) -> None:
        """`retry_after` is in seconds; `details` are added to the problem as extension members."""
        super().__init__(message)
        self.message = message
        self.instance_code = code or self.code
        self.retry_after = retry_after
        self.details = details


class BadInput(LikeOptError):
    """The request itself is wrong and will stay wrong."""

    code = "bad_input"
    status = 400


class Unauthorized(LikeOptError):
    """Nobody is signed in, or the credentials are not valid."""

    code = "unauthorized"
    status = 401


class Forbidden(LikeOptError):
    """The caller is known and may not do this."""

    code = "forbidden"
    status = 403


class NotFound(LikeOptError):
    """It does not exist, or the caller may not know that it does."""

    code = "not_found"
    status = 404


class RequestTimeout(LikeOptError):
    """The request arrived too slowly, or stopped arriving."""

    code = "request_timeout"
    status = 408
    retryable = True


class Conflict(LikeOptError):
    """The thing is in a state in which this cannot be done."""

    code = "conflict"
    status = 409


class TooLarge(LikeOptError):
    """The body or file is over a limit; the message names the limit."""

    code = "too_large"
    status = 413


class UnsupportedType(LikeOptError):
    """A file or media type that Like-Opt does not read."""

    code = "unsupported_type"
    status = 415


class UnreadableFile(LikeOptError):
    """A file of a known type that cannot be read: encrypted, damaged, empty, a bomb."""

    code = "unreadable_file"
    status = 422


class KeyReused(LikeOptError):
    """The Idempotency-Key was sent with another request before."""

    code = "key_reused"
    status = 422


class Misdirected(LikeOptError):
    """The address names a host that this server does not answer for."""

    code = "misdirected"
    status = 421


class TooManyRequests(LikeOptError):
    """The caller is over a rate limit."""

    code = "too_many_requests"
    status = 429
    retryable = True


class Busy(LikeOptError):
    """A bounded queue is full or a deadline passed while waiting in it."""

    code = "busy"
    status = 503
    retryable = True


class EngineUnavailable(LikeOptError):
    """The computing process does not answer; it is being restarted."""

    code = "engine_unavailable"
    status = 503
    retryable = True


class ModelUnavailable(LikeOptError):
    """The language or embedding model does not answer."""

    code = "model_unavailable"
    status = 503
    retryable = True


class ProviderUnavailable(LikeOptError):
    """The OpenID Connect provider does not answer, or not as it should."""

    code = "oidc_unavailable"
    status = 503
    retryable = True


class StorageUnavailable(LikeOptError):
    """The database does not answer or stays locked."""

    code = "storage_unavailable"
    status = 503
    retryable = True


class StorageFull(LikeOptError):
    """The disk that holds the data is full; nothing was changed."""

    code = "storage_full"
    status = 507


class ConfigError(LikeOptError):
    """A setting has a value that Like-Opt does not understand."""

    code = "config_error"


class IndexDamaged(LikeOptError):
    """A derived index cannot be opened and has to be rebuilt from the database."""

    code = "index_damaged"


def how_to_install(extra: str) -> str:
    """A sentence with the command for what is missing, to those who have it from its source."""
    return f"In the folder with the source code: {sys.executable} -m pip install -e '.[{extra}]'"
