"""Fetching one web page or file for the library, without becoming somebody's way into a network.

The host is resolved once, every address it has is checked, and the connection goes to that very
address, so that a second answer of the name server changes nothing (DNS rebinding). Each redirect
passes the same checks.
"""

import ipaddress
import socket
import threading
from contextlib import suppress
from email.message import Message
from pathlib import PurePosixPath
from typing import BinaryIO, Self
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

import msgspec
import urllib3

from likeopt.errors import BadInput, TooLarge, UnreadableFile, UnsupportedType

MAX_REDIRECTS = 5
URL_LIMIT = 2000
BLOCK = 1 << 16
TIMEOUT = urllib3.Timeout(connect=10, read=30)
# Slow servers may not hold a request for ever by sending a byte now and then, be it of the TLS
# handshake, of the headers or of the page; what is above begins anew with each byte.
TOTAL_SECONDS = 120.0
NAT64 = ipaddress.ip_network("64:ff9b::/96")
# All that is routed in the public internet. Outside it lie forms of IPv4 addresses that a router
# may translate (`::127.0.0.1`, RFC 8215's 64:ff9b:1::/48) and what `ipaddress` takes for global.
GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")

_too_long = f"it took longer than {TOTAL_SECONDS:g} s"

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Fetched(msgspec.Struct, frozen=True):
    """What a URL led to: a file name made from it, and its media type without parameters."""

    name: str
    media_type: str


class _Alarm:
    """Hangs up when the time for a fetch is over, whatever its connection is waiting for."""

    def __init__(self, seconds: float) -> None:
        self.rang = False
        self._held: socket.socket | None = None
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._ring)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._hold(None)

    def watch(self, pool: urllib3.HTTPConnectionPool) -> None:
        """Have the pool's connection hung up on, from its first byte on."""
        alarm = self

        class Watched(pool.ConnectionCls):  # type: ignore[name-defined,misc]
            def _new_conn(self) -> socket.socket:
                made: socket.socket = super()._new_conn()
                # Another handle of the connection: TLS takes this one over.
                alarm._hold(made.dup())
                return made

        pool.ConnectionCls = Watched

    def _hold(self, connection: socket.socket | None) -> None:
        with self._lock:
            if self._held is not None:
                self._held.close()
            self._held = connection
            if self.rang:
                self._hang_up()

    def _ring(self) -> None:
        with self._lock:
            self.rang = True
            self._hang_up()

    def _hang_up(self) -> None:
        if self._held is not None:
            with suppress(OSError):  # the other side was quicker
                self._held.shutdown(socket.SHUT_RDWR)


class Fetcher:
    """`allow_private` lets loopback and private addresses through; `limit` is in bytes."""

    def __init__(self, *, allow_private: bool, limit: int) -> None:
        self._allow_private = allow_private
        self._limit = limit

    def fetch(self, url: str, out: BinaryIO) -> Fetched:
        """Write what `url` leads to into `out`.

        Raises BadInput for a URL that may not be fetched, UnreadableFile if the server does not
        give the page, TooLarge over the limit.
        """
        with _Alarm(TOTAL_SECONDS) as alarm:
            for _ in range(MAX_REDIRECTS + 1):
                parts = check_url(url)
                pool = self._pool(parts)
                alarm.watch(pool)
                try:
                    fetched = self._step(pool, parts, out)
                except urllib3.exceptions.HTTPError as error:
                    raise _unreachable(parts, _too_long if alarm.rang else str(error)) from error
                finally:
                    pool.close()
                if alarm.rang:
                    # A page of no stated length ends where the connection does.
                    raise _unreachable(parts, _too_long)
                if isinstance(fetched, Fetched):
                    return fetched
                url = urljoin(url, fetched)
        raise UnreadableFile(
            f"The address redirects more than {MAX_REDIRECTS} times.", code="url_unreachable"
        )

    def _step(
        self, pool: urllib3.HTTPConnectionPool, parts: SplitResult, out: BinaryIO
    ) -> Fetched | str:
        """The page, or where it redirects to."""
        response = self._get(pool, parts)
        try:
            return response.get_redirect_location() or self._save(response, parts, out)
        finally:
            response.close()

    def _pool(self, parts: SplitResult) -> urllib3.HTTPConnectionPool:
        host = parts.hostname or ""
        address = self._resolve(host, parts)
        if parts.scheme == "https":
            # The certificate must be the host's, though the connection goes to an address.
            return urllib3.HTTPSConnectionPool(
                address,
                parts.port or 443,
                timeout=TIMEOUT,
                retries=False,
                assert_hostname=host,
                server_hostname=host,
            )
        return urllib3.HTTPConnectionPool(address, parts.port or 80, timeout=TIMEOUT, retries=False)

    def _resolve(self, host: str, parts: SplitResult) -> str:
        try:
            found = socket.getaddrinfo(host, parts.port or parts.scheme, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise _unreachable(parts, f"unknown host ({error})") from error
        addresses = [str(item[4][0]) for item in found]
        for address in addresses:
            if not may_reach(ipaddress.ip_address(address.partition("%")[0]), self._allow_private):
                raise BadInput(
                    "The address is on a private network. An administrator can allow that with"
                    " LIKEOPT_URL_ALLOW_PRIVATE=1.",
                    code="url_private",
                )
        return addresses[0]

    def _get(
        self, pool: urllib3.HTTPConnectionPool, parts: SplitResult
    ) -> urllib3.BaseHTTPResponse:
        response = pool.request(
            "GET",
            (parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
            headers={
                "Host": parts.netloc,
                "User-Agent": "Like-Opt",
                "Accept-Encoding": "gzip",
            },
            redirect=False,
            preload_content=False,
        )
        if response.status != 200 and not response.get_redirect_location():
            response.close()
            raise _unreachable(parts, f"HTTP status {response.status}")
        return response

    def _save(
        self, response: urllib3.BaseHTTPResponse, parts: SplitResult, out: BinaryIO
    ) -> Fetched:
        size = 0
        # The limit is on the unpacked size, so a compressed bomb stops at it as well.
        for block in response.stream(BLOCK, decode_content=True):
            size += len(block)
            if size > self._limit:
                raise TooLarge(
                    f"The page is larger than the limit of {self._limit / (1 << 20):.3g} MiB."
                )
            out.write(block)
        headers = Message()
        headers["content-type"] = response.headers.get("content-type", "")
        headers["content-disposition"] = response.headers.get("content-disposition", "")
        return Fetched(_name(parts, headers.get_filename()), headers.get_content_type())


def check_url(url: str) -> SplitResult:
    """The parts of a URL that may be fetched: http or https, with a host, without a password.

    Raises BadInput for any other.
    """
    if len(url) > URL_LIMIT:
        raise BadInput(f"The address is longer than {URL_LIMIT} characters.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadInput("The address is not a valid URL.") from None
    if parts.scheme not in ("http", "https"):
        raise BadInput("Only http:// and https:// addresses can be added.")
    if not parts.hostname or port == 0 or not url.isascii() or not url.isprintable():
        raise BadInput("The address is not a valid URL. Copy it from the browser's address bar.")
    if parts.username is not None or parts.password is not None:
        raise BadInput("The address must not contain a user name or password.")
    return parts


def may_reach(address: Address, allow_private: bool) -> bool:
    """Whether a page may be fetched from `address`, in whatever form it is written.

    Link-local addresses (a cloud's metadata service), multicast and reserved ones never.
    """
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return may_reach(inner, allow_private)
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        return False
    if address.is_loopback or address.is_private:
        return allow_private
    if isinstance(address, ipaddress.IPv6Address) and address not in GLOBAL_UNICAST:
        return False
    return address.is_global


def suffix_for(media_type: str, media_types: dict[str, str]) -> str:
    """The usual suffix of a media type, such as `.html`; UnsupportedType if none is read."""
    media_type = {"application/xhtml+xml": "text/html"}.get(media_type, media_type)
    for suffix in (".html", ".txt", ".md", *media_types):
        if media_types[suffix] == media_type:
            return suffix
    raise UnsupportedType(f"The address leads to {media_type}, which Like-Opt does not read.")


def _name(parts: SplitResult, given: str | None) -> str:
    name = PurePosixPath((given or unquote(parts.path)).replace("\\", "/")).name
    name = "".join(char if char.isprintable() else "_" for char in name)
    return name or parts.hostname or "page"


def _unreachable(parts: SplitResult, reason: str) -> UnreadableFile:
    return UnreadableFile(
        f"{parts.hostname} does not give this page: {reason}.", code="url_unreachable"
    )
