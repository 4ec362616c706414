"""A layer that all processes of a machine share and that survives them: one SQLite file, bounded.

What was stored first goes first, since noting each use would make every read a write. Nothing is
synced: after a power cut the file may be damaged. Then, and whenever SQLite says so, it is thrown
away and begun anew, under another name, because a process that still has the old one open removes
its log by name when it closes it. `disk.db` is a link to the present one.
"""

import contextlib
import fcntl
import logging
import os
import secrets
import sqlite3
import weakref
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from likeopt.cache.backends.layer import LayerFailed, Size
from likeopt.cache.backends.memory import LARGEST_PART
from likeopt.cache.keys import use_of
from likeopt.cache.stats import EVICTIONS, Stats
from likeopt.clock import Clock

T = TypeVar("T")
Runner = Callable[[Callable[[], Any]], Any]

# Another process writes for 30 µs at a time, or for some ms when it makes room.
BUSY_SECONDS = 0.1
# The log is copied into the file, and begun anew, every so many pages of 4 KB.
_LOG_PAGES = 500
# Thrown out at once for want of room; more only if that was not enough.
_BATCH = 64
# gevent has 10 native threads.
_IDLE = 10
# Whoever reads looks this often whether the file was replaced: a look costs half as much as a read.
# Until then it may read what was in the old one; whoever writes looks each time.
LOOK_SECONDS = 0.05
_FORMAT = 1
_OTHER_FORMAT = "another format"
_SCHEMA = f"""
PRAGMA journal_mode = WAL;
PRAGMA synchronous = OFF;
PRAGMA user_version = {_FORMAT};
CREATE TABLE entries (
  id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, use TEXT NOT NULL, size INTEGER NOT NULL,
  expires INTEGER NOT NULL, data BLOB NOT NULL
);
CREATE INDEX by_use ON entries (use, size);
CREATE INDEX by_expiry ON entries (expires);
"""
_GET = "SELECT data FROM entries WHERE key = ? AND expires > ?"
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}


# Device and inode: a file that took another's place has others.
_File = tuple[int, int]


class _Open(NamedTuple):
    """A connection, and the file that it is of."""

    file: _File | None
    connection: sqlite3.Connection


class DiskLayer:
    """See `Layer`. `run` is where work that blocks belongs: SQLite does not yield to gevent."""

    name = "disk"

    def __init__(
        self, folder: Path, max_bytes: int, clock: Clock, stats: Stats, run: Runner
    ) -> None:
        self._folder = folder
        self._link = folder / "disk.db"
        self._max_bytes = max_bytes
        self._clock = clock
        self._stats = stats
        self._run = run
        # The file as it was last seen, and when that was.
        self._seen: tuple[_File | None, float] = (None, float("-inf"))
        self._idle: list[_Open] = []
        self._used: list[_Open] = []
        self._pid = os.getpid()
        # What was in use when this process was forked; see `_after_fork`.
        self._barred: list[_Open] = []
        os.register_at_fork(before=partial(_before_fork, weakref.ref(self)))

    def get(self, key: str) -> bytes | None:
        """See `Layer`."""
        wanted = key, self._clock.now_ms()

        def read(c: sqlite3.Connection) -> tuple[bytes] | None:
            found: tuple[bytes] | None = c.execute(_GET, wanted).fetchone()
            return found

        found = self._do(read, look=False)
        return None if found is None else found[0]

    def get_many(self, keys: list[str]) -> dict[str, bytes]:
        """See `Layer`."""
        now = self._clock.now_ms()

        def read(c: sqlite3.Connection) -> dict[str, bytes]:
            rows = ((key, c.execute(_GET, (key, now)).fetchone()) for key in keys)
            return {key: row[0] for key, row in rows if row is not None}

        return self._do(read, look=False)

    def set(self, key: str, data: bytes, ttl: float) -> None:
        """See `Layer`."""
        if len(data) > self._max_bytes // LARGEST_PART:
            self.delete([key])
            return
        expires = self._clock.now_ms() + round(ttl * 1000)
        row = (key, use_of(key), len(data), expires, data)

        def write(c: sqlite3.Connection) -> list[str]:
            c.execute(
                "INSERT OR REPLACE INTO entries (key, use, size, expires, data)"
                " VALUES (?, ?, ?, ?, ?)",
                row,
            )
            return self._make_room(c)

        # Counted here and not there: a native thread must not wait for a lock of greenlets.
        for use in self._do(write):
            self._stats.row(use, self.name).add(EVICTIONS)

    def delete(self, keys: Iterable[str]) -> None:
        """See `Layer`."""
        rows = [(key,) for key in keys]

        def write(c: sqlite3.Connection) -> None:
            for row in rows:
                c.execute("DELETE FROM entries WHERE key = ?", row)

        self._do(write)

    def clear(self, use: str | None) -> Size:
        """See `Layer`."""
        chosen = "WHERE ?1 IS NULL OR use = ?1"

        def write(c: sqlite3.Connection) -> Size:
            held = c.execute(f"SELECT count(*), total(size) FROM entries {chosen}", (use,))  # noqa: S608  (a constant)
            entries, size = held.fetchone()
            c.execute(f"DELETE FROM entries {chosen}", (use,))  # noqa: S608  (a constant)
            return Size(entries, int(size))

        return self._do(write)

    def sizes(self) -> dict[str, Size]:
        """See `Layer`."""
        query = "SELECT use, count(*), total(size) FROM entries GROUP BY use"

        def read(c: sqlite3.Connection) -> dict[str, Size]:
            return {use: Size(entries, int(size)) for use, entries, size in c.execute(query)}

        return self._do(read)

    def close(self) -> None:
        """See `Layer`."""
        if self._pid == os.getpid():
            idle, self._idle = self._idle, []
            for held in idle:
                held.connection.close()

    def _make_room(self, c: sqlite3.Connection) -> list[str]:
        """Throw out what is too much; returns the uses of what had not expired."""
        page = c.execute("PRAGMA page_size").fetchone()[0]
        evicted: list[str] = []
        while True:
            (pages,), (free,) = (
                c.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "freelist_count")
            )
            if (pages - free) * page <= self._max_bytes:
                return evicted
            expired = "SELECT id FROM entries WHERE expires <= ? LIMIT ?"
            gone = c.execute(
                f"DELETE FROM entries WHERE id IN ({expired})",  # noqa: S608  (a constant)
                (self._clock.now_ms(), _BATCH),
            ).rowcount
            if gone == 0:
                oldest = "SELECT id FROM entries ORDER BY id LIMIT ?"
                out = c.execute(
                    f"DELETE FROM entries WHERE id IN ({oldest}) RETURNING use",  # noqa: S608
                    (_BATCH,),
                ).fetchall()
                if not out:
                    return evicted
                evicted += [use for (use,) in out]

    # -- the file --------------------------------------------------------------------------------

    def _do(self, work: Callable[[sqlite3.Connection], T], *, look: bool = True) -> T:
        """Run `work` on a connection; once more on a new file if this one turns out damaged. Look
        first whether it is still the file that was seen, or, without `look`, now and then."""
        if self._pid != os.getpid():
            self._after_fork()
        if self._barred:
            raise LayerFailed("forked while it was in use")

        def unit() -> T:
            try:
                seen = self._present(look=look)
                if seen is not None:
                    try:
                        return self._on(seen, work)
                    except sqlite3.DatabaseError as error:
                        present = self._present()
                        if present == seen and not _is_damage(error):
                            raise
                        if present not in (seen, None):
                            return self._on(present, work)
                        seen = present
                self._begin_anew(seen)
                return self._on(self._present(), work)
            except sqlite3.Error as error:
                raise LayerFailed(getattr(error, "sqlite_errorname", str(error))) from None
            except OSError as error:
                raise LayerFailed(type(error).__name__) from None

        done: T = self._run(unit)
        return done

    def _on(self, file: _File | None, work: Callable[[sqlite3.Connection], T]) -> T:
        held = self._take(file) or _Open(file, _connect(self._link.resolve()))
        self._used.append(held)
        try:
            done = work(held.connection)
        except BaseException:
            held.connection.close()
            raise
        else:
            if len(self._idle) < _IDLE:
                self._idle.append(held)
            else:
                held.connection.close()
            return done
        finally:
            self._used.remove(held)

    def _take(self, file: _File | None) -> _Open | None:
        """An idle connection to `file`; those to others are let go."""
        while True:
            try:
                held = self._idle.pop()
            except IndexError:
                return None
            if held.file == file:
                return held
            held.connection.close()

    def _after_fork(self) -> None:
        """SQLite's locks do not survive a fork, and a child that opens a file which it has
        inherited open can damage it (sqlite.org/howtocorrupt.html, 2.6). `_before_fork` has closed
        what was idle; if something was in use by a thread, this child does without the layer."""
        # Kept: closing them here would remove the log that the parent uses.
        self._barred = [*self._used, *self._idle]
        self._used, self._idle, self._pid = [], [], os.getpid()

    def _present(self, *, look: bool = True) -> _File | None:
        now = self._clock.monotonic()
        file, at = self._seen
        if look or file is None or not 0 <= now - at < LOOK_SECONDS:
            try:
                stat = self._link.stat()
                file = stat.st_dev, stat.st_ino
            except FileNotFoundError:
                file = None
            self._seen = file, now
        return file

    def _begin_anew(self, seen: _File | None) -> None:
        """Make a new file in the place of the one that was `seen`, unless somebody has."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self._folder / "disk.lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self._present() != seen:
                return
            logging.getLogger(__name__).info("The disk layer of the cache begins anew")
            for old in self._folder.glob("disk-*"):
                old.unlink(missing_ok=True)
            new = self._folder / f"disk-{secrets.token_hex(4)}.db"
            with contextlib.closing(sqlite3.connect(new, isolation_level=None)) as made:
                made.executescript(_SCHEMA)
            temporary = self._folder / f"{new.stem}.link"
            temporary.symlink_to(new.name)
            temporary.replace(self._link)


def _before_fork(layer: "weakref.ref[DiskLayer]") -> None:
    if (found := layer()) is not None:
        found.close()


def _connect(path: Path) -> sqlite3.Connection:
    # Never made here: it may have been replaced in this moment.
    made = sqlite3.connect(
        f"{path.as_uri()}?mode=rw",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        made.execute("PRAGMA synchronous = OFF")
        made.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
        if made.execute("PRAGMA user_version").fetchone()[0] != _FORMAT:
            raise sqlite3.DatabaseError(_OTHER_FORMAT)
    except sqlite3.Error:
        made.close()
        raise
    return made


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return str(error) == _OTHER_FORMAT if code is None else code & 0xFF in _DAMAGED
