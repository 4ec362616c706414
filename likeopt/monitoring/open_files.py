"""The limit of open files of a process: each connection is one, and so are databases and files.

Shells and systemd give 1,024, which a web worker's connections alone would use up, and let a
process raise it to some hundred thousand by itself.
"""

import resource

# Nothing here needs more, and programs that close all that a limit allows exist still.
MOST = 65_536
# All that a process may have if its hard limit says nothing: macOS's OPEN_MAX, sys/syslimits.h.
_OPEN_MAX = 10_240
# What a web worker opens beside its connections: the database, Redis, originals that are being
# sent, a place in the model's queue for each answer.
BESIDE = 512


def obtainable() -> int:
    """The limit that this process can have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(_count(soft), min(_count(hard), MOST))


def raise_limit() -> int:
    """Have this process, and those that it starts from now on, open as many as it can; returns
    the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # The second is for macOS, which refuses more than its kernel allows each process.
    for wanted in (obtainable(), min(_count(hard), _OPEN_MAX)):
        if wanted <= _count(soft):
            break
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):
            continue
        return wanted
    return _count(soft)


def connections_within(limit: int, wanted: int) -> int:
    """As many of the `wanted` connections as leave enough of the limit to answer them: the others
    wait to be accepted."""
    return min(wanted, max(limit - BESIDE, limit // 2))


def _count(limit: int) -> int:
    return MOST if limit == resource.RLIM_INFINITY else limit
