"""Leaving gevent's event loop for work that would hold it."""

import contextvars
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import gevent
from gevent import monkey
from gevent.resolver.thread import Resolver
from gevent.threadpool import ThreadPool

# Names that are looked up at once; the others wait.
RESOLVER_THREADS = 8

T = TypeVar("T")

# Of the real thread; the patched one would be of the greenlet.
_thread: Any = monkey.get_original("threading", "local")()


def in_native_thread(
    work: Callable[[], T], /, turn: AbstractContextManager[None] | None = None
) -> T:
    """Run `work` in gevent's native thread pool while other greenlets go on (90 to 170 µs).

    Who waits to enter `turn`, a lock of greenlets, takes no thread. Called inside such a thread, it
    just runs the work: there is no loop to hold, and what is of greenlets is not for threads.
    """
    if getattr(_thread, "native", False):
        return work()
    raised: list[BaseException] = []
    returned: list[T] = []

    def guarded() -> None:
        _thread.native = True
        # gevent prints the trace of what its threads raise, also when the caller handles it.
        try:
            returned.append(work())
        except BaseException as error:  # noqa: BLE001  (raised again by the caller below)
            raised.append(error)

    # The request and who asks are context variables, which threads do not inherit.
    with turn or nullcontext():
        gevent.get_hub().threadpool.apply(contextvars.copy_context().run, (guarded,))
    if raised:
        raise raised[0]
    return returned[0]


def look_up_names_apart() -> None:
    """Give this process's name look-ups native threads of their own, after the fork.

    They have no time limit, and share the ten of `in_native_thread` by default: while a resolver
    was slow, ten look-ups kept every read of SQLite, file and password check waiting.
    """
    hub = gevent.get_hub()
    # Another resolver, which GEVENT_RESOLVER chooses, takes no threads.
    if isinstance(hub.resolver, Resolver):
        hub.resolver.pool = ThreadPool(RESOLVER_THREADS, hub=hub)
