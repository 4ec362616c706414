"""Who is asking: a key, a session's cookie, or, where that is allowed, a guest.

What a request proves is looked up once and remembered in the worker; the copy counts only while
`Watch` says that nothing has changed since. So most signed-in requests cost no look-up, and
what is revoked anywhere is refused everywhere within 100 ms.

Nothing revoked is served from a copy. Whose a credential is never changes. A copy carries stamps,
taken before what it holds was read: of the person's own counter (`revisions.of_person`) with the
session or key and the account, which nothing else raises; of that and `access` with what they may
read. What takes something away raises its counter in its own transaction, or after it (Redis). So
who read before that has a stamp that is over, and who took the stamp after it reads what is so now.
Of a credential seen for the first time, whose it is comes with what it proves, too late for a
stamp: the copy is kept for that alone, and counts from the next look-up on.
"""

import threading
from collections import OrderedDict
from collections.abc import Collection
from typing import Any

import msgspec
from flask import Flask, Response, current_app, g, request

from likeopt.errors import Forbidden, StorageFull, StorageUnavailable, Unauthorized
from likeopt.services import Services
from likeopt.storage import access, api_keys, people, revisions
from likeopt.storage.reader import LOCAL_USER, Reader
from likeopt.storage.sessions import is_guests
from likeopt.storage.watch import Stamp
from likeopt.web import context, cookies, guests, limits
from likeopt.web.context import Identity

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
CSRF_HEADER = "X-CSRF-Token"
# How long after signing in a person may do what decides who can sign in.
FRESH_MS = 10 * 60 * 1000
# Copies held at most: of 10,000 people who are connected, as requests of each may come to any
# worker. One weighs 1.7 KB and up to 180 bytes for each id of a readable collection, of which there
# are so many in all: 19 MB a worker where everybody reads three collections, 53 MB at most.
MOST_COPIES = 10_000
MOST_IDS = 200_000
# Looks of open streams at a time in a worker (see `lease`), each with one of its connections to the
# database, of which it has 6 on PostgreSQL.
MOST_LOOKS = 2

_EXTENSION = "likeopt-auth"


class _Copy(msgspec.Struct, frozen=True):
    identity: Identity
    # Of the person's own counter, from before the identity was looked up. None: not known, so this
    # tells only whose the credential is.
    stamp: Stamp | None
    reader: Reader | None = None
    # Of both counters of the person's access, from before the reader was read.
    read_at: Stamp | None = None


class Auth:
    """Identities of one worker."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._copies: OrderedDict[str, _Copy] = OrderedDict()
        # Of readable collections in all copies.
        self._ids = 0
        self.looks = threading.BoundedSemaphore(MOST_LOOKS)

    def identify(self) -> Identity | None:
        """Who sends the current request; None if nobody says so, or no longer can.

        Raises Unauthorized for a key that is none, and if a guest's request is not local.
        """
        token = self._credential()
        if token is None:
            return None
        found = self.of(token)
        if found is None and token.startswith(api_keys.PREFIX):
            limits.take("default")
            raise Unauthorized("This API key is not known, was revoked, or has expired.")
        if found is None:
            return None
        if found.via == "guest":
            guests.require_local()
        g.credential = token
        return self._used(token, found)

    def _credential(self) -> str | None:
        token = bearer()
        if token is not None:
            # Before any cookie: what a key may do depends on nothing that a browser adds by itself.
            return token
        return cookies.read(self._services.secret_key) if request.cookies else None

    def of(self, credential: str) -> Identity | None:
        """Whose this is: a key's token, or a cookie's id."""
        copy = self._copies.get(credential)
        stamp = None
        if copy is not None:
            # On a busy machine the watch is late: one looks for all the requests of this process.
            own = revisions.of_person(copy.identity.user.id)
            stamp = self._services.watch.confirmed(own)
            if stamp is not None and copy.stamp == stamp and self.lasts(copy.identity):
                return copy.identity
        found = self._find(credential)
        if found is None:
            self._ids -= _ids(self._copies.pop(credential, None))
        elif copy is None or stamp is not None:
            self._remember(credential, _Copy(found, stamp))
        return found

    def reader(self, credential: str, who: Identity) -> Reader:
        """Somebody with what they may read. Unauthorized if the account is gone."""
        stamp = self._services.watch.stamp(*revisions.of_access(who.user.id))
        copy = self._copies.get(credential)
        if copy is not None and copy.reader is not None and copy.read_at == stamp is not None:
            return copy.reader
        found = self._services.db.read(lambda c: access.reader_for(c, who.user.id))
        if copy is not None and stamp is not None:
            kept = msgspec.structs.replace(copy, reader=found, read_at=stamp)
            self._remember(credential, kept)
        return found

    def forget(self) -> None:
        """Look everybody up again."""
        self._copies.clear()
        self._ids = 0

    def csrf_token(self, who: Identity) -> str | None:
        """What a page must send back with each change; only sessions have one."""
        if who.session is None:
            return None
        return cookies.sign(self._services.secret_key, "csrf", who.session.id)

    def require_csrf_token(self, who: Identity) -> None:
        """Forbidden unless the request carries the session's token, or needs none."""
        if who.session is None or request.method in SAFE_METHODS:
            return
        given = request.headers.get(CSRF_HEADER, "")
        if not cookies.is_signed(self._services.secret_key, "csrf", who.session.id, given):
            raise Forbidden(
                f"The header {CSRF_HEADER} is missing or of another session. Reload the page.",
                code="csrf",
            )

    def _find(self, credential: str) -> Identity | None:
        db, clock = self._services.db, self._services.clock
        if guests.is_token(self._services, credential):
            user = db.read(lambda c: people.get(c, LOCAL_USER))
            return None if user.disabled else Identity(user, "guest")
        if credential.startswith(api_keys.PREFIX):
            found = db.read(lambda c: api_keys.find(c, clock, credential))
            return found and Identity(found[1], "key", key=found[0])
        guest = is_guests(credential)
        if guest and not self._services.config.guest:
            return None
        session = self._services.sessions.find(credential)
        if session is None:
            return None
        user = db.read(lambda c: people.get(c, session.user_id))
        if user.disabled:
            return None
        return Identity(user, "guest" if guest else "session", session=session)

    def lasts(self, who: Identity) -> bool:
        """Whether the session or key has not expired."""
        ends = [one.expires_at for one in (who.session, who.key) if one is not None]
        return all(at is None or at > self._services.clock.now_ms() for at in ends)

    def _used(self, credential: str, who: Identity) -> Identity:
        """Note that a key or session was used, where that was not done lately."""
        try:
            used = self._noted(who)
        except (StorageFull, StorageUnavailable):
            # Who only reads does so on a full disk too; the next request tries again to note it.
            return who
        copy = self._copies.get(credential)
        # Another request may have found out more meanwhile.
        if used is not who and copy is not None and copy.identity is who:
            self._remember(credential, msgspec.structs.replace(copy, identity=used))
        return used

    def _noted(self, who: Identity) -> Identity:
        clock, key = self._services.clock, who.key
        if who.session is not None:
            session = self._services.sessions.touch(who.session)
            if session is not who.session:
                return msgspec.structs.replace(who, session=session)
        if key is not None and not api_keys.use_is_noted(clock, key):
            self._services.db.write(lambda c: self._note_use(c, who, key))
            noted = msgspec.structs.replace(key, last_used_at=clock.now_ms())
            return msgspec.structs.replace(who, key=noted)
        return who

    def _note_use(self, c: Any, who: Identity, key: api_keys.ApiKey) -> None:
        api_keys.note_use(c, self._services.clock, key.id)
        context.note(c, "key.use", kind="key", id_=key.id, name=key.name, who=who)

    def _remember(self, credential: str, copy: _Copy) -> None:
        self._ids += _ids(copy) - _ids(self._copies.get(credential))
        self._copies[credential] = copy
        self._copies.move_to_end(credential)
        while len(self._copies) > MOST_COPIES or self._ids > MOST_IDS:
            self._ids -= _ids(self._copies.popitem(last=False)[1])


def _ids(copy: _Copy | None) -> int:
    return len(copy.reader.collections) if copy is not None and copy.reader is not None else 0


def bearer() -> str | None:
    """The request's API key; None without one. Other bearers' tokens are not ours to judge."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    token = token.strip()
    return token if scheme.lower() == "bearer" and token.startswith(api_keys.PREFIX) else None


def admit(who_may: str, scope: str) -> None:
    """Let the request in as somebody who may do this.

    Raises Unauthorized if it is nobody's, Forbidden if its person, key or page may not.
    """
    auth = of_app()
    who = auth.identify()
    if who is None:
        limits.take("default")
        raise Unauthorized("Sign in first, or send an API key.")
    # Before what may refuse it, so that the audit log says who was refused.
    g.identity = who
    auth.require_csrf_token(who)
    if who.key is not None and scope not in who.key.scopes:
        wanted = "No API key may" if scope == "account" else f"A key needs the scope `{scope}` to"
        raise Forbidden(f"{wanted} do this.", code="scope_missing")
    if who_may == "admin" and who.user.role != "admin":
        raise Forbidden("Only administrators may do this.")


def asking(documents: Collection[str] = (), collections: Collection[str] = ()) -> Reader:
    """Who is asking, with what they may read; inside a transaction, see `context.reader`.

    NotFound if they ask about a document or collection that is not theirs.
    """
    found = of_app().reader(g.credential, context.identity())
    if documents or collections:
        db = context.services().db
        db.read(lambda c: access.require_readable(c, found, documents, collections))
    return found


def stamp(*names: str) -> Stamp | None:
    """See `Watch.stamp`, for the counters of the access of who is asking, and of these names."""
    of_access = revisions.of_access(context.identity().user.id)
    return context.services().watch.stamp(*of_access, *names)


def stamp_now() -> Stamp | None:
    """As `stamp`, after a look at the database if the last one is too old: for what must not wait
    behind many others whose access has to be looked at."""
    return context.services().watch.confirmed(*revisions.of_access(context.identity().user.id))


def is_in() -> bool:
    """Whether the request's cookie is that of a session that lasts. Costs
    nothing while the session is remembered; else the page's next request finds it looked up."""
    cookie = cookies.read(context.services().secret_key)
    return cookie is not None and of_app().of(cookie) is not None


def reader_of_page() -> Reader | None:
    """Who opens a page in a browser, with what they may read; None for nobody, and for programs.

    Raises Unauthorized for a guest who is not at this machine, as to what the page will ask for.
    """
    auth = of_app()
    who = auth.identify() if bearer() is None else None
    if who is None:
        return None
    g.identity = who
    return auth.reader(g.credential, who)


def require_fresh() -> None:
    """Forbidden unless the person has signed in lately.

    Whoever finds a browser open, or has taken a cookie, must not get to keep the account with it.
    A key or the token of the guest's link has no sign-in that could have been long ago.
    """
    who = context.identity()
    now = context.services().clock.now_ms()
    if who.session is not None and now - who.session.created_at > FRESH_MS:
        if who.via == "guest":
            raise Forbidden("Open the link once more to do this.", code="open_link_again")
        raise Forbidden("Sign in once more to do this.", code="sign_in_again")


def begin(response: Response, cookie_id: str, browser: str = "") -> None:
    """Have the browser keep a session that has just begun, in place of any that it had, and what
    it is known by from now on."""
    services = context.services()
    cookie = cookies.read(services.secret_key)
    former = services.sessions.find(cookie) if cookie else None
    if former is not None:
        services.sessions.revoke(former.user_id, former.id)
    cookies.put(response, services.secret_key, cookie_id)
    if browser:
        cookies.know(response, browser)


def of_app() -> Auth:
    """The identities of the application that handles this request."""
    found: Auth = current_app.extensions[_EXTENSION]
    return found


def install(app: Flask, services: Services) -> None:
    """Have `app` know who asks."""
    app.extensions[_EXTENSION] = Auth(services)
