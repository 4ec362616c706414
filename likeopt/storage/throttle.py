"""Slowing down those who guess passwords, by account and by address.

Accounts that do not exist are slowed down like those that do, so that the difference shows
nobody which exist.

A browser that somebody has signed in with counts by itself, so that strangers who fail keep no
owner out; one that fails too often itself counts as a stranger until it may try again
(https://owasp.org/www-community/Slow_Down_Online_Guessing_Attacks_with_Device_Cookies).
"""

import hashlib
import hmac
import ipaddress
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from likeopt.clock import Clock
from likeopt.storage.tables import throttles
from likeopt.storage.tokens import new_token, token_hash

# Failures that are free. Behind one address there may be an office, and its typing errors.
FREE_BY_ACCOUNT = 4
FREE_BY_ADDRESS = 19
LONGEST_MS = 15 * 60 * 1000
# Failures are forgotten this long after the last one.
FORGET_MS = 60 * 60 * 1000


def keys_of(email: str, address: str) -> list[str]:
    """The keys of a sign-in: the account's, which names nobody, and the address's network."""
    account = hashlib.sha256(email.encode("utf-8", "surrogatepass")).hexdigest()
    keys = [f"account:{account}"]
    network = network_of(address)
    return [*keys, f"address:{network}"] if network else keys


def new_browser(user_id: str, encoded: str) -> str:
    """What a browser keeps in which this user signed in with the password whose hash is `encoded`.

    The hash is what it is signed with, so that it ends with the password; it names nobody.
    """
    id_ = new_token()
    return f"{id_}.{_signature(id_, user_id, encoded)}"


def keys_of_browser(browser: str, user_id: str, encoded: str) -> list[str]:
    """The key of a browser that is known to the user with this hash; none for all others."""
    id_, _, signature = browser.partition(".")
    ours = _signature(id_, user_id, encoded).encode()
    known = hmac.compare_digest(ours, signature.encode("utf-8", "replace"))
    return [f"browser:{token_hash(id_)}"] if known else []


def _signature(id_: str, user_id: str, encoded: str) -> str:
    signed = f"browser:{user_id}:{id_}".encode("utf-8", "replace")
    return hmac.digest(encoded.encode(), signed, "sha256").hex()


def network_of(address: str) -> str:
    """Whom an address counts for; empty for what is none, such as a Unix socket's.

    An IPv6 address counts by its /64, of which one household has all.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if parsed.version == 6:
        parsed = parsed.ipv4_mapped or parsed
    if parsed.version == 6:
        parsed = ipaddress.ip_network((parsed, 64), strict=False).network_address
    return str(parsed)


def check(c: sa.Connection, clock: Clock, keys: Sequence[str]) -> float:
    """Seconds until the next attempt is allowed; 0 if it is now."""
    query = sa.select(sa.func.max(throttles.c.until)).where(throttles.c.key.in_(keys))
    until = c.execute(query).scalar_one()
    return max(0, (until or 0) - clock.now_ms()) / 1000


def fail(c: sa.Connection, clock: Clock, keys: Sequence[str]) -> None:
    """Count a failure. From the fifth of an account or browser on (the twentieth of an address),
    the next attempt has to wait for 2, 4, 8 ... seconds, at most 15 minutes."""
    now = clock.now_ms()
    c.execute(sa.delete(throttles).where(throttles.c.updated_at <= now - FORGET_MS))
    for key in sorted(keys):  # the same order of locks for all
        count = (
            sa.update(throttles)
            .where(throttles.c.key == key)
            .values(failures=throttles.c.failures + 1, updated_at=now)
            .returning(throttles.c.failures)
        )
        failures = c.execute(count).scalar_one_or_none()
        if failures is None:
            _insert(c, key, now)
            failures = c.execute(count).scalar_one()
        free = FREE_BY_ADDRESS if key.startswith("address:") else FREE_BY_ACCOUNT
        if failures > free:
            wait = min(1000 * 2 ** min(failures - free, 20), LONGEST_MS)
            c.execute(sa.update(throttles).where(throttles.c.key == key).values(until=now + wait))


def clear(c: sa.Connection, keys: Sequence[str]) -> None:
    """Forget the account's failures, here and as part of its address's: somebody signed in. Or
    those of a known browser, whose account keeps what others have failed.

    The address keeps those of other accounts: who has one account could otherwise guess at all
    others, by signing in now and then.
    """
    account, *address = keys
    one = sa.delete(throttles).where(throttles.c.key == account)
    own = c.execute(one.returning(throttles.c.failures)).scalar_one_or_none()
    if own:
        others = sa.case((throttles.c.failures > own, throttles.c.failures - own), else_=0)
        c.execute(sa.update(throttles).where(throttles.c.key.in_(address)).values(failures=others))


def _insert(c: sa.Connection, key: str, now: int) -> None:
    """A row without failures, also while another transaction inserts the same one."""
    dialect = postgresql if c.dialect.name == "postgresql" else sqlite
    row = {"key": key, "failures": 0, "until": 0, "updated_at": now}
    c.execute(dialect.insert(throttles).values(**row).on_conflict_do_nothing())
