"""Signing in, one-time links and passwords: what people do with their own accounts."""

from collections.abc import Sequence
from typing import Any

import msgspec

from likeopt.clock import Clock
from likeopt.errors import BadInput, Conflict, Forbidden, NotFound, TooManyRequests, Unauthorized
from likeopt.passwords import Passwords, normal
from likeopt.storage import api_keys, audit, links, people, revisions, throttle
from likeopt.storage.audit import Entry, Via
from likeopt.storage.db import Database
from likeopt.storage.links import Link
from likeopt.storage.people import User
from likeopt.storage.reader import LOCAL_USER
from likeopt.storage.sessions import Session, SessionStore
from likeopt.storage.text import clean_email, hides

DISABLED = "This account is disabled; an administrator can enable it."
_REFUSALS = {
    "account_disabled": DISABLED,
    "invitation_needed": "Nobody with this address has an account; an administrator can invite.",
    "email_unverified": "The provider does not say that your e-mail address is verified.",
    "email_unconfirmed": "No administrator has confirmed that this account's address is yours.",
    "oidc_other": "The account of this address belongs to somebody else at the provider.",
}


class Client(msgspec.Struct, frozen=True):
    """Where a request comes from, for sessions, throttling and the audit log. `browser` is what
    it was given at an earlier sign-in."""

    address: str
    agent: str
    request_id: str = ""
    browser: str = ""


class SignedIn(msgspec.Struct, frozen=True):
    """A person with their new session; `cookie_id` is told to their browser and nobody else, and
    so is `browser`, by which it is known later; empty where no password was asked for."""

    user: User
    session: Session
    cookie_id: str
    browser: str


class ProvedIdentity(msgspec.Struct, frozen=True):
    """Who somebody is to an OpenID Connect provider.

    `subject` is the issuer, a space, and the provider's own id. `email` is empty unless the
    provider has verified it.
    """

    subject: str
    email: str
    name: str


class Accounts:
    """The use cases. Each opens its own transactions."""

    def __init__(
        self,
        db: Database,
        sessions: SessionStore,
        clock: Clock,
        passwords: Passwords,
        *,
        oidc: bool = False,
    ) -> None:
        """`oidc`: people can also sign in with a provider."""
        self._db = db
        self._sessions = sessions
        self._clock = clock
        self._passwords = passwords
        self._oidc = oidc

    def sign_in(self, email: str, password: str, client: Client) -> SignedIn:
        """Raises Unauthorized if address and password do not belong together, TooManyRequests
        after several failures. Neither tells, nor does their time, whether the account exists."""
        email = _address(email)
        proved = self._proved(email, password, client)
        if proved is None:
            entry = Entry(
                action="session.refuse",
                via="session",
                object_kind="user",
                object_name=email or None,
            )
            self._refused(entry, client)
            raise _wrong()
        user_id, encoded, keys = proved
        return self.open_session(user_id, client, how="password", forget=keys, encoded=encoded)

    def sign_in_with(self, proved: ProvedIdentity, client: Client) -> SignedIn:
        """Let in whom an OpenID Connect provider knows.

        Who comes for the first time is found by their address: the account for which an
        administrator chose that address is linked for good, or an open invitation to it is used.
        Raises Unauthorized with the code `email_unverified` (the provider vouches for no address),
        `invitation_needed` (neither account nor invitation), `email_unconfirmed` (the account's
        address was typed by whoever opened an invitation, who may be anybody), `oidc_other` (the
        account is linked with somebody else at this provider) or `account_disabled`.
        """

        def find(c: Any) -> User | str:
            revisions.lock(c, "access")
            found = people.by_oidc(c, proved.subject) or self._first_time(c, proved, client)
            if isinstance(found, User) and found.disabled:
                found = "account_disabled"
            if isinstance(found, str):
                entry = Entry(
                    action="session.refuse",
                    via="session",
                    object_kind="user",
                    object_name=proved.email or None,
                    detail={"how": "oidc", "code": found},
                )
                audit.refuse(c, self._clock, _from(client, entry))
            return found

        found = self._db.write(find)
        if isinstance(found, str):
            raise Unauthorized(_REFUSALS[found], code=found)
        return self.open_session(found.id, client, how="oidc")

    def _first_time(self, c: Any, proved: ProvedIdentity, client: Client) -> User | str:
        """The account that is theirs from now on, or the code of the reason against it."""
        email = _address(proved.email)
        if not email:
            return "email_unverified"
        user = people.by_email(c, email)
        if user is None:
            link = links.use_invitation(c, self._clock, email)
            if link is None:
                return "invitation_needed"
            name = _shown(proved.name) or email[: people.NAME_LIMIT]
            role = link.role or "member"
            user = people.create(
                c, self._clock, name=name, email=email, role=role, email_confirmed=True
            )
            used = _by(
                user,
                "link.use",
                via="link",
                object_kind="link",
                object_id=link.id,
                purpose="invite",
            )
            self._write(c, used, client)
        elif user.disabled:
            return "account_disabled"
        elif not user.email_confirmed:
            return "email_unconfirmed"
        elif _issuer(people.oidc_of(c, user.id)) == _issuer(proved.subject):
            # The provider gave the address of one person to another.
            return "oidc_other"
        people.link_oidc(c, user.id, proved.subject)
        linked = _by(
            user, "user.link", object_kind="user", object_id=user.id, subject=proved.subject
        )
        self._write(c, linked, client)
        return user

    def open_session(
        self,
        user_id: str,
        client: Client,
        *,
        how: str,
        forget: Sequence[str] = (),
        encoded: str | None = None,
    ) -> SignedIn:
        """Let in who has proved to be this user, in the way that the audit log will name.

        `encoded` is the hash of the password that they proved to know, `forget` are throttled keys
        to clear. Raises Unauthorized for a disabled user, or if the password is another by now.
        """
        user = self._db.read(lambda c: people.get(c, user_id))
        if user.disabled:
            raise Unauthorized(DISABLED)
        session, cookie_id = self._sessions.create(
            user_id, address=client.address, agent=client.agent, guest=how == "guest"
        )

        def note(c: Any) -> bool:
            revisions.lock(c, "access")
            # Who changes the password or disables the account ends the sessions that there are. A
            # sign-in that began before (a comparison takes 0.2 s) could add one after that.
            if people.get(c, user_id).disabled:
                return False
            if encoded and people.password_hash_of(c, user.email or "") != (user_id, encoded):
                return False
            if forget:
                throttle.clear(c, forget)
            entry = _by(
                user,
                "session.create",
                via="guest" if how == "guest" else "session",
                object_kind="session",
                object_id=session.id,
                how=how,
            )
            self._write(c, entry, client)
            return True

        if not self._db.write(note):
            self._sessions.revoke(user_id, session.id)
            raise _wrong()
        browser = throttle.new_browser(user_id, encoded) if encoded else ""
        return SignedIn(user, session, cookie_id, browser)

    def setup_link(self) -> str | None:
        """The token of a new link to become the first administrator; None once there is one."""

        def make(c: Any) -> str | None:
            if not people.needs_setup(c, oidc=self._oidc):
                return None
            made, token = links.create(c, self._clock, "setup", user_id=LOCAL_USER, role="admin")
            entry = Entry(action="link.create", via="system", object_kind="link", object_id=made.id)
            audit.write(c, self._clock, entry)
            return token

        return self._db.write(make)

    def accept_link(
        self, token: str, *, password: str, client: Client, name: str = "", email: str = ""
    ) -> SignedIn:
        """Use a link: set the password, sign in, and end every other session of the person.

        A reset revokes their API keys too: whoever had the account may have made some.
        A set-up needs `name` and `email`; an invitation `name`, and `email` unless it was sent to
        one; a reset neither. Raises NotFound for a link that is used, expired or unknown, BadInput
        for a weak password, Conflict if the address has an account.
        """
        link = self._db.read(lambda c: links.find(c, self._clock, token))
        email = link.email or email
        if link.purpose == "reset":
            known = self._db.read(lambda c: people.get(c, str(link.user_id)))
            if known.disabled:
                raise Unauthorized(DISABLED)
            name, email = known.name, known.email or ""
        password = self._passwords.checked(password, name, email)
        with self._passwords.slot():
            encoded = self._passwords.hash(password)

        def accept(c: Any) -> User:
            revisions.lock(c, "access")
            used = links.use(c, self._clock, token)
            user = self._account_of(c, used, name, email)
            people.set_password(c, self._clock, user.id, encoded)
            links.void(c, user.id)
            entry = _by(
                user,
                "link.use",
                via="link",
                object_kind="link",
                object_id=used.id,
                purpose=used.purpose,
            )
            self._write(c, entry, client)
            if used.purpose == "reset":
                for key in api_keys.revoke_all(c, self._clock, user.id):
                    entry = _by(user, "key.revoke", object_kind="key", object_id=key.id)
                    entry = msgspec.structs.replace(entry, object_name=key.name)
                    self._write(c, entry, client)
            return user

        # Before, so that a store that does not answer changes nothing and no session of before
        # outlives the password; after, for who signed in with it meanwhile.
        if link.user_id is not None:
            self._sessions.revoke_all(link.user_id)
        user = self._db.write(accept)
        self._sessions.revoke_all(user.id)
        return self.open_session(user.id, client, how=link.purpose, encoded=encoded)

    def change_password(
        self, user_id: str, current: str, new: str, *, keep: str | None, client: Client
    ) -> str:
        """Replace the password, and end every session of the person but the one with id `keep`.
        Returns what the browser is known by from now on (see `SignedIn`).

        Raises Forbidden if `current` is wrong (throttled like a sign-in), BadInput if `new` is
        weak, Conflict if the account has no password.
        """
        user = self._db.read(lambda c: people.get(c, user_id))
        if user.email is None or not user.has_password:
            raise Conflict("This account has no password; an administrator can send a link.")
        new = self._passwords.checked(new, user.name, user.email)
        proved = self._proved(user.email, current, client)
        if proved is None:
            entry = _by(user, "password.refuse", object_kind="user", object_id=user.id)
            self._refused(entry, client)
            raise Forbidden("The current password is wrong.", code="wrong_password")
        _, _, keys = proved
        with self._passwords.slot():
            encoded = self._passwords.hash(new)

        def change(c: Any) -> None:
            people.set_password(c, self._clock, user.id, encoded)
            links.void(c, user.id)
            throttle.clear(c, keys)
            entry = _by(user, "password.change", object_kind="user", object_id=user.id)
            self._write(c, entry, client)

        # Twice, as in `accept_link`.
        self._sessions.revoke_all(user.id, keep=keep)
        self._db.write(change)
        self._sessions.revoke_all(user.id, keep=keep)
        return throttle.new_browser(user.id, encoded)

    def _proved(
        self, email: str, password: str, client: Client
    ) -> tuple[str, str, list[str]] | None:
        """The id of the user with this address and password, its hash, and what was throttled; a
        failure counts.

        The look at earlier failures happens inside the slot: attempts made at the same time
        pass it two at a time and not all together.
        """

        def look(c: Any) -> tuple[str, str, list[str], float]:
            found = people.password_hash_of(c, email)
            user_id, encoded = found or ("", self._passwords.nobody)
            keys = throttle.keys_of_browser(client.browser, user_id, encoded)
            # Anybody can sign with the hash of nobody's password.
            if not user_id or not keys or throttle.check(c, self._clock, keys):
                keys = throttle.keys_of(email, client.address)
            return user_id, encoded, keys, throttle.check(c, self._clock, keys)

        with self._passwords.slot():
            user_id, encoded, keys, wait = self._db.read(look)
            if wait:
                raise TooManyRequests("Too many attempts failed. Wait a little.", retry_after=wait)
            if self._passwords.matches(encoded, normal(password)) and user_id:
                return user_id, encoded, keys
            self._db.write(lambda c: throttle.fail(c, self._clock, keys))
        return None

    def _account_of(self, c: Any, link: Link, name: str, email: str) -> User:
        if link.purpose == "invite":
            role = link.role or "member"
            return people.create(
                c,
                self._clock,
                name=name,
                email=email,
                role=role,
                email_confirmed=link.email is not None,
            )
        user_id = str(link.user_id)
        if link.purpose == "setup":
            if not people.needs_setup(c, oidc=self._oidc):
                raise NotFound("There is an administrator already.")
            return people.update(c, user_id, name=name, email=email, role="admin", disabled=False)
        return people.get(c, user_id)

    def _refused(self, entry: Entry, client: Client) -> None:
        self._db.write(lambda c: audit.refuse(c, self._clock, _from(client, entry)))

    def _write(self, c: Any, entry: Entry, client: Client) -> None:
        audit.write(c, self._clock, _from(client, entry))


def _from(client: Client, entry: Entry) -> Entry:
    return msgspec.structs.replace(entry, address=client.address, request_id=client.request_id)


def _wrong() -> Unauthorized:
    return Unauthorized("The e-mail address or the password is wrong.", code="wrong_credentials")


def _by(
    user: User,
    action: str,
    *,
    object_kind: str,
    object_id: str,
    via: Via = "session",
    **detail: str,
) -> Entry:
    return Entry(
        action=action,
        via=via,
        actor_id=user.id,
        actor_name=user.name,
        object_kind=object_kind,
        object_id=object_id,
        detail=detail,
    )


def _issuer(subject: str | None) -> str:
    return (subject or "").partition(" ")[0]


def _shown(name: str) -> str:
    """A name as `people` takes it, of what somebody else's system calls a name."""
    words = " ".join(name.split())
    seen = "".join(char for char in words if char.isprintable() and not hides(char))
    return seen[: people.NAME_LIMIT].strip()


def _address(email: str) -> str:
    """`email` as it is stored; what cannot be an address is that of nobody."""
    try:
        return clean_email(email)
    except BadInput:
        return ""
