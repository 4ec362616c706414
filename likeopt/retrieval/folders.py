"""Finding and reading the files of a folder that other programs may be changing meanwhile."""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from likeopt.errors import BadInput, LikeOptError, TooLarge, UnreadableFile
from likeopt.retrieval.parse import HEAD_BYTES, detect
from likeopt.storage.documents import NAME_LIMIT, URI_LIMIT
from likeopt.storage.text import clean_line

BLOCK = 1 << 20
# What office programs keep beside a document that is open.
LOCK_PREFIX = "~$"


class Found(msgspec.Struct, frozen=True):
    """A file under a root: `name` is its path from there, `uri` its address (see `walk`).

    `problem` says why it cannot be added; `folder` that it is a folder that cannot be listed.
    """

    path: Path
    name: str
    uri: str
    problem: LikeOptError | None = None
    folder: bool = False


class Look(msgspec.Struct, frozen=True):
    """What a file held when it was read: its media type, SHA-256 and size in bytes."""

    media_type: str
    sha256: str
    size: int


def walk(root: Path, base: str) -> Iterator[Found]:
    """Every file under `root` in order of name, or `root` itself if it is a file.

    `base` is the address of `root`: its path, or a name that does not change where it moves.

    Hidden files and folders are left out. Symbolic links are not followed: what lies inside the
    root is found where it is, and what lies outside is reported.
    """
    if not root.is_dir():
        yield _found(root, root.name, base)
        return
    yield from _walk(root, root, base)


def _walk(root: Path, folder: Path, base: str) -> Iterator[Found]:
    try:
        with os.scandir(folder) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
    except OSError as error:
        name = _shown(folder.relative_to(root))
        yield Found(folder, name, f"{base}/{name}", unreadable(name, error), folder=True)
        return
    for entry in entries:
        path = folder / entry.name
        if entry.name.startswith((".", LOCK_PREFIX)):
            continue
        if entry.is_symlink():
            if not path.resolve().is_relative_to(root):
                name = _shown(path.relative_to(root))
                problem = UnreadableFile(
                    f"{name} is a link that leads out of the folder, so it was not followed.",
                    code="link_outside",
                )
                yield Found(path, name, f"{base}/{name}", problem)
        elif entry.is_dir(follow_symlinks=False):
            yield from _walk(root, path, base)
        else:
            name = str(path.relative_to(root))
            yield _found(path, name, f"{base}/{name}")


def _found(path: Path, name: str, uri: str) -> Found:
    try:
        # A long path would not fit the name of a document; its end says most.
        clean = clean_line(name[-NAME_LIMIT:], what="The name", limit=NAME_LIMIT)
        return Found(path, clean, clean_line(uri, what="The path", limit=URI_LIMIT))
    except BadInput:
        shown = _shown(Path(name))
        problem = BadInput(f"{shown} has a name that cannot be used; rename it.", code="bad_name")
        return Found(path, shown, shown, problem)


def _shown(path: Path) -> str:
    text = os.fsencode(path).decode("utf-8", "replace")
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


def look(found: Found, limit: int) -> Look:
    """Read a file: what it is and holds.

    Raises UnsupportedType, TooLarge over `limit` bytes, or UnreadableFile if it is empty, gone,
    not permitted, no file, or changed while it was being read.
    """
    try:
        with open_regular(found) as file:
            before = os.fstat(file.fileno())
            head = file.read(HEAD_BYTES)
            media_type = _check(found.name, head, before.st_size, limit)
            digest = hashlib.sha256(head)
            while block := file.read(BLOCK):
                digest.update(block)
            after = os.fstat(file.fileno())
    except OSError as error:
        raise unreadable(found.name, error) from error
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise UnreadableFile(
            f"{found.name} changed while it was being read. Add it again.", code="file_changed"
        )
    return Look(media_type, digest.hexdigest(), after.st_size)


def _check(name: str, head: bytes, size: int, limit: int) -> str:
    if size > limit:
        raise TooLarge(f"{name} is larger than the limit of {limit / (1 << 20):.3g} MiB.")
    if not head:
        raise empty(name)
    return detect(name, head)


def open_regular(found: Found) -> BinaryIO:
    """Open a regular file; UnreadableFile if it is gone, not permitted, or something else."""
    try:
        # NONBLOCK: opening a named pipe would wait for its writer.
        descriptor = os.open(found.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise unreadable(found.name, error) from error
    file = os.fdopen(descriptor, "rb")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        file.close()
        raise UnreadableFile(f"{found.name} is not a regular file.", code="not_a_file")
    return file


def empty(name: str) -> UnreadableFile:
    """The error for a file without content."""
    return UnreadableFile(f"{name} is empty. Add it again once it has content.", code="empty_file")


def unreadable(name: str, error: OSError) -> UnreadableFile:
    """The error for what the system said when a file was to be read."""
    if error.errno == errno.ENOENT:
        return UnreadableFile(
            f"{name} was removed while it was being read. Add it again.", code="missing_file"
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return UnreadableFile(
            f"{name} may not be read by this user; change its permissions.",
            code="permission_denied",
        )
    return UnreadableFile(f"{name} cannot be read: {error.strerror}.", code="read_error")
