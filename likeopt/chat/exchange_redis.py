"""Generations shared by the workers of several machines, through Redis.

For each key a hash `state` (the generation that runs, its leader, until when that counts as alive),
for each generation a stream `log` whose entries have the numbers of the records, and a sorted set
`readers` of the seats by the time until which they count. Each step is one Lua script, so a leader
that was away for longer than its lease cannot write over its successor's records: epochs order
them.

Without Redis a leader goes on for the readers of its process, and tells the others what they have
missed when Redis is back, also an empty one; new questions are led where they were asked.
"""

import logging
import re
import secrets
import threading
from collections.abc import Callable
from typing import Any

import msgspec
import redis

from likeopt.cache.redis_client import PoolFull, RedisClient
from likeopt.chat import exchange
from likeopt.chat.events import End, Record
from likeopt.chat.redis_logs import Entry, Log, Logs, number_of
from likeopt.clock import Clock

# A leader proves that it lives four times a second; after this long it counts as dead.
LEASE_SECONDS = 4.0
# The same for readers, who do so every few seconds.
SEAT_SECONDS = 15.0
_SEAT_RENEW_SECONDS = 4.0
_TIMEOUT_SECONDS = 1.0
# After a failure Redis is left alone for this long.
_REST_SECONDS = 1.0
# What was told while Redis was away is offered to it for this long after the end.
_LATE_SECONDS = 20.0
# Logs of generations that nobody ended go after this long without a word.
_FORGOTTEN_MS = 600_000
_RECORDS = 200

_name = re.compile(r"[0-9a-f]{32}-[0-9a-f]{12}").fullmatch

log = logging.getLogger(__name__)

# All times are of Redis' own clock. One further ahead than any that is given was given before that
# clock was set back, and counts as past: whoever lives says so again in a moment.
_NOW = f"""
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function led(till)
  till = tonumber(till) or 0
  return till > now and till <= now + {round(LEASE_SECONDS * 1000)}
end
local function last(key)
  local entry = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
  if not entry then return 0, false end
  return tonumber(string.match(entry[1], '^%d+')), entry[2][1] == 'end'
end
"""
# state, log prefix; gid that would be new, holder, lease -> gid, epoch, or nothing if it is led.
_ENTER = f"""{_NOW}
local s = redis.call('HMGET', KEYS[1], 'gid', 'epoch', 'until')
if s[1] and led(s[3]) then return false end
local gid, epoch = ARGV[2], 1
if s[1] then
  local number, ended = last(ARGV[1] .. s[1] .. ':log')
  if not ended then gid, epoch = s[1], s[2] + 1 end
end
redis.call('HSET', KEYS[1], 'gid', gid, 'epoch', epoch, 'holder', ARGV[3], 'until', now + ARGV[4])
redis.call('PEXPIRE', KEYS[1], {_FORGOTTEN_MS})
return {{gid, epoch}}
"""
# state; gid, holder, lease, epoch seen -> epoch, or nothing.
_TAKE = f"""{_NOW}
local s = redis.call('HMGET', KEYS[1], 'gid', 'epoch', 'until')
if s[1] and (s[1] ~= ARGV[1] or led(s[3])) then return false end
local epoch = math.max(s[2] or 0, ARGV[4]) + 1
redis.call('HSET', KEYS[1], 'gid', ARGV[1], 'epoch', epoch, 'holder', ARGV[2],
  'until', now + ARGV[3])
redis.call('PEXPIRE', KEYS[1], {_FORGOTTEN_MS})
return epoch
"""
# state; prefix, seat, its milliseconds -> gid, if it is led.
_JOIN = f"""{_NOW}
local s = redis.call('HMGET', KEYS[1], 'gid', 'until')
if not s[1] or not led(s[2]) then return false end
local readers = ARGV[1] .. s[1] .. ':readers'
redis.call('ZADD', readers, now + ARGV[3], ARGV[2])
redis.call('PEXPIRE', readers, {_FORGOTTEN_MS})
return s[1]
"""
# state, readers; gid, seat, its milliseconds -> whether it is led.
_SIT = f"""{_NOW}
redis.call('ZADD', KEYS[2], now + ARGV[3], ARGV[2])
redis.call('PEXPIRE', KEYS[2], {_FORGOTTEN_MS})
local s = redis.call('HMGET', KEYS[1], 'gid', 'until')
if s[1] == ARGV[1] and led(s[2]) then return 1 end
return 0
"""
# state, log; gid, epoch, holder, lease, 1 if closed, number of the first record, records (each:
# 'r' or 'end', bytes) -> the number of the last one that is there, or -1 if somebody else leads.
_APPEND = f"""{_NOW}
local epoch, first = tonumber(ARGV[2]), tonumber(ARGV[6])
local number, ended = last(KEYS[2])
if ended then
  -- By us, and the answer was lost on its way, or by who took over.
  if number == first - 1 + (#ARGV - 6) / 2 then return number end
  return -1
end
if ARGV[5] == '0' then
  local s = redis.call('HMGET', KEYS[1], 'gid', 'holder')
  if s[1] and (s[1] ~= ARGV[1] or s[2] ~= ARGV[3]) then return -1 end
  redis.call('HSET', KEYS[1], 'gid', ARGV[1], 'epoch', epoch, 'holder', ARGV[3],
    'until', now + ARGV[4])
  redis.call('PEXPIRE', KEYS[1], {_FORGOTTEN_MS})
end
for i = 7, #ARGV, 2 do
  local at = first + (i - 7) / 2
  if at == number + 1 then
    redis.call('XADD', KEYS[2], string.format('%d-0', at), ARGV[i], ARGV[i + 1], 'epoch', epoch)
    number = at
  end
end
redis.call('PEXPIRE', KEYS[2], {_FORGOTTEN_MS})
return number
"""
# state, readers; gid, holder, 1 to be patient -> whether it is closed now.
_DESERTED = f"""{_NOW}
local s = redis.call('HMGET', KEYS[1], 'gid', 'holder')
if s[1] and (s[1] ~= ARGV[1] or s[2] ~= ARGV[2]) then return 0 end
if redis.call('ZCOUNT', KEYS[2], now, now + {round(SEAT_SECONDS * 1000)}) > 0 then return 0 end
if ARGV[3] == '1' and redis.call('ZCARD', KEYS[2]) > 0 then return 0 end
redis.call('DEL', KEYS[1])
return 1
"""
# state, log, readers; gid, holder, 1 if it has ended, milliseconds that its log is kept.
_CLOSE = f"""{_NOW}
local s = redis.call('HMGET', KEYS[1], 'gid', 'holder')
if s[1] == ARGV[1] and s[2] == ARGV[2] then
  if ARGV[3] == '1' then redis.call('DEL', KEYS[1]) else redis.call('HSET', KEYS[1], 'until', 0) end
end
if ARGV[3] == '1' then
  redis.call('PEXPIRE', KEYS[2], ARGV[4])
  redis.call('PEXPIRE', KEYS[3], ARGV[4])
end
return 1
"""


class _Store:
    """Redis, as far as it answers."""

    def __init__(self, url: str, tenant: str, clock: Clock) -> None:
        self._redis = RedisClient(url, _TIMEOUT_SECONDS)
        # What waits for news has a connection of its own: it would be in the way of the others.
        self._waiting = RedisClient(url, _TIMEOUT_SECONDS, connections=1)
        self.logs = Logs(lambda after, block: self._xread(self._waiting.here, after, block))
        self.clock = clock
        self.tenant = tenant
        # When it last failed, and since when it answers.
        self._failed_at = float("-inf")
        self.answers_since = float("-inf")
        scripts = (_ENTER, _TAKE, _JOIN, _SIT, _APPEND, _DESERTED, _CLOSE)
        self._scripts = {script: self.client.register_script(script) for script in scripts}

    @property
    def client(self) -> Any:
        """The client of this process."""
        return self._redis.here

    def run(self, script: str, keys: list[str], *args: str | int | bytes) -> Any:
        """What a script answers; None also without Redis."""
        prepared = self._scripts[script]
        return self.ask(lambda: prepared(keys=keys, args=list(args), client=self.client))

    def ask(self, command: Callable[[], Any]) -> Any:
        """What a command answers; None also without Redis."""
        now = self.clock.monotonic()
        if now - self._failed_at < _REST_SECONDS:
            return None
        try:
            return command()
        except PoolFull:
            # Redis may be well.
            log.warning("answers cannot be shared: too many commands at once")
            return None
        except redis.RedisError as error:
            # Not the message: it can hold the address with its password.
            log.warning("answers cannot be shared: %s", type(error).__name__)
            self._failed_at = self.clock.monotonic()
            self.answers_since = self._failed_at + _REST_SECONDS
            return None

    def read(self, stream: str, after: int) -> list[Entry]:
        """The next entries of a log; none also without Redis."""
        found = self._xread(self.client, {stream: f"{after}-0"}, None)
        return [entry for _, entries in found or () for entry in entries]

    def _xread(self, client: Any, after: dict[str, str], block: int | None) -> Any:
        return self.ask(lambda: client.xread(after, count=_RECORDS, block=block))

    def prefix(self, key: str) -> str:
        """Of the keys of everything about `key`; in braces what a cluster keeps together."""
        return f"lo-answers:{self.tenant}:{{{key}}}:"

    def keys(self, id_: str) -> tuple[str, str, str]:
        """State, log and readers of a generation."""
        prefix = self.prefix(exchange.key_of(id_))
        return f"{prefix}state", f"{prefix}{id_}:log", f"{prefix}{id_}:readers"


class RedisExchange:
    """See `Exchange`. `tenant` tells this installation from others on the same Redis."""

    def __init__(self, url: str, tenant: str, clock: Clock) -> None:
        self._store = _Store(url, tenant, clock)

    def join(self, key: str) -> "RedisSeat | None":
        """See `Exchange`."""
        prefix, token = self._store.prefix(key), secrets.token_hex(8)
        found = self._store.run(
            _JOIN, [f"{prefix}state"], prefix, token, round(SEAT_SECONDS * 1000)
        )
        return RedisSeat(self._store, found.decode(), token) if found else None

    def enter(self, key: str) -> "RedisLead | exchange.Alone | None":
        """See `Exchange`."""
        prefix, holder = self._store.prefix(key), secrets.token_hex(8)
        new, lease = exchange.generation_id(key), round(LEASE_SECONDS * 1000)
        found = self._store.run(_ENTER, [f"{prefix}state"], prefix, new, holder, lease)
        if found is None:
            # It is led, or Redis is away.
            return None if self._store.ask(self._store.client.ping) else exchange.Alone(key)
        id_, epoch = found[0].decode(), int(found[1])
        told: list[Record] = []
        if id_ != new:
            reading = RedisSeat(self._store, id_, "")
            while more := reading.read(0):
                told += more
            if reading.damaged:
                # Nobody can go on with it.
                reading.end_it(holder)
                return self.enter(key)
        return RedisLead(self._store, id_, holder, epoch, told, sent=len(told))

    def seat(self, id_: str) -> "RedisSeat | None":
        """See `Exchange`."""
        if not _name(id_):
            return None
        known = self._store.ask(lambda: self._store.client.exists(self._store.keys(id_)[1]))
        if not known:
            return None
        seat = RedisSeat(self._store, id_, secrets.token_hex(8))
        seat.is_led()
        return seat


class RedisLead:
    """See `Lead`."""

    def __init__(
        self, store: _Store, id_: str, holder: str, epoch: int, told: list[Record], *, sent: int
    ) -> None:
        self.id = id_
        self.told = told
        self._store = store
        self._holder = holder
        self._epoch = epoch
        # All there is to tell, of which the first `_sent` are in Redis.
        self._records = [(isinstance(one, End), exchange.encode(one)) for one in told]
        self._sent = sent
        self._lost = False
        self._closed = False
        self._lock = threading.Lock()

    def append(self, record: Record) -> None:
        """See `Lead`."""
        with self._lock:
            self._records.append((isinstance(record, End), exchange.encode(record)))
            self._send()

    def renew(self) -> None:
        """See `Lead`: also tells what could not be told before."""
        with self._lock:
            if not self._closed:
                self._send()

    def close_if_deserted(self, *, patient: bool) -> bool:
        """See `Lead`."""
        state, _, readers = self._store.keys(self.id)
        with self._lock:
            done = self._store.run(_DESERTED, [state, readers], self.id, self._holder, int(patient))
            # Without Redis nobody knows; after the grace period nobody has come.
            self._closed = self._closed or done == 1 or (done is None and not patient)
            return self._closed or (self._lost and not patient)

    def close(self) -> None:
        """See `Lead`."""
        with self._lock:
            late = self._sent < len(self._records) and not self._lost
            # Whoever watches it may still be about to say that it lives.
            self._closed = True
        if late and self._records[-1][0]:
            threading.Thread(target=self._tell_late, daemon=True).start()
        else:
            self._close()

    def _close(self) -> None:
        ended = bool(self._records) and self._records[-1][0]
        self._store.run(
            _CLOSE,
            list(self._store.keys(self.id)),
            self.id,
            self._holder,
            int(ended),
            round(exchange.KEEP_SECONDS * 1000),
        )

    def _tell_late(self) -> None:
        """Redis was away at the end: others still wait for it."""
        waiting = threading.Event()
        until = self._store.clock.monotonic() + _LATE_SECONDS
        while self._store.clock.monotonic() < until:
            waiting.wait(_REST_SECONDS / 2)
            with self._lock:
                self._send()
                if self._sent == len(self._records) or self._lost:
                    break
        self._close()

    def _send(self) -> None:
        """Tell what was not told yet, and that this process lives."""
        if self._lost:
            return
        state, told, _ = self._store.keys(self.id)
        while True:
            part = self._records[self._sent : self._sent + _RECORDS]
            flat = [x for end, data in part for x in ("end" if end else "r", data)]
            number = self._store.run(
                _APPEND,
                [state, told],
                self.id,
                self._epoch,
                self._holder,
                round(LEASE_SECONDS * 1000),
                int(self._closed),
                self._sent + 1,
                *flat,
            )
            if number is None:
                return
            if number < 0:
                # It was away for too long, and somebody else leads now.
                self._lost = True
                return
            # Less than before: Redis was restarted, and is told everything again.
            self._sent = min(number, len(self._records))
            if self._sent == len(self._records):
                return


class RedisSeat:
    """See `Seat`."""

    def __init__(self, store: _Store, id_: str, token: str) -> None:
        self.id = id_
        self._store = store
        self._token = token
        self._log = Log(store.keys(id_)[1])
        self._number = 0
        self._epoch = 0
        self._told: list[Record] = []
        # Read already, and not given out.
        self._unread: list[Record] = []
        # Whether what follows cannot be read: damaged, or of another version of the program.
        self.damaged = False
        self._renewed = store.clock.monotonic()
        self._left = threading.Event()

    def read(self, seconds: float) -> list[Record]:
        """See `Seat`."""
        if self._unread:
            unread, self._unread = self._unread, []
            return unread
        if self.damaged:
            self._left.wait(seconds)
            return []
        if self._store.clock.monotonic() - self._renewed > _SEAT_RENEW_SECONDS:
            self.is_led()
        if seconds:
            entries = self._store.logs.take(self._log, self._number, seconds)
        else:
            entries = self._store.read(self._log.key, self._number)
        records: list[Record] = []
        try:
            for entry in entries:
                # What is followed may have been read without waiting, too.
                if number_of(entry) > self._number:
                    fields = entry[1]
                    records.append(exchange.decode(fields.get(b"r") or fields[b"end"]))
                    self._epoch = max(self._epoch, int(fields[b"epoch"]))
                    self._number = number_of(entry)
        except (msgspec.MsgspecError, KeyError, ValueError):
            log.warning("a shared answer cannot be read on")
            self.damaged = True
            self._store.logs.leave(self._log)
        self._told += records
        return records

    def take_over(self) -> "RedisLead | exchange.Alone | None":
        """See `Seat`. After an outage the leader is given the time to come back; what cannot be
        read on is written anew, by each process for itself."""
        if self.damaged:
            self.close()
            return exchange.Alone(exchange.key_of(self.id))
        if self._store.clock.monotonic() - self._store.answers_since < LEASE_SECONDS:
            return None
        state = self._store.keys(self.id)[0]
        holder, lease = secrets.token_hex(8), round(LEASE_SECONDS * 1000)
        epoch = self._store.run(_TAKE, [state], self.id, holder, lease, self._epoch)
        if epoch is None:
            return None
        before = len(self._told)
        while self.read(0):
            pass
        if self.damaged or (self._told and isinstance(self._told[-1], End)):
            # Nobody can go on with it, or it had come to its end: read on.
            self.end_it(holder)
            self._unread = self._told[before:]
            return None
        self.close()
        # What an emptied Redis has forgotten is told to it again.
        return RedisLead(
            self._store, self.id, holder, epoch, list(self._told), sent=len(self._told)
        )

    def end_it(self, holder: str) -> None:
        """Let nobody join any more, given that `holder` leads it."""
        kept = round(exchange.KEEP_SECONDS * 1000)
        self._store.run(_CLOSE, list(self._store.keys(self.id)), self.id, holder, 1, kept)

    def is_led(self) -> bool:
        """See `Seat`. What its leader tells is of no use where it cannot be read."""
        self._renewed = self._store.clock.monotonic()
        state, _, readers = self._store.keys(self.id)
        led = self._store.run(
            _SIT, [state, readers], self.id, self._token, round(SEAT_SECONDS * 1000)
        )
        return led == 1 and not self.damaged

    def close(self) -> None:
        """See `Seat`."""
        if not self._left.is_set():
            self._left.set()
            self._store.logs.leave(self._log)
            readers = self._store.keys(self.id)[2]
            self._store.ask(lambda: self._store.client.zrem(readers, self._token))
