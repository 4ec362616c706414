"""Reading `multipart/form-data` (RFC 7578) without holding it in memory.

Each file goes to an anonymous temporary file on the data folder's disk, in blocks written by a
native thread, so that 100 MB hold the event loop for about 2 ms at a time and the process
needs 3 MiB for them. (gunicorn copies what it has read ahead, up to 1 MiB, at every smaller read.)
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from flask import request
from werkzeug.exceptions import ClientDisconnected

from likeopt.errors import BadInput, LikeOptError, TooLarge, UnsupportedType
from likeopt.storage.files import naming_a_full_disk
from likeopt.web import inputs, multipart

READ_BYTES = 1 << 20
BLOCK_BYTES = 1 << 20
# All parts of one request; more files are more requests.
MAX_PARTS = 200
FIELD_BYTES = 1 << 16

Run = Callable[[Callable[[], Any]], Any]
# Told the name and text of a field; raises what the request is refused with.
Check = Callable[[str, str], None]


class Upload:
    """One file of a form: its content at the start, or the problem why it was not kept."""

    def __init__(self, name: str, content: BinaryIO) -> None:
        self.name = name
        self.content = content
        self.size = 0
        self.problem: LikeOptError | None = None


class Form:
    """The parts of a form in order; fields may be given several times."""

    def __init__(self) -> None:
        self.fields: dict[str, list[str]] = {}
        self.files: list[Upload] = []

    def field(self, name: str) -> str | None:
        """A field that may be given once at most."""
        given = self.fields.get(name, [])
        if len(given) > 1:
            raise BadInput(f"`{name}` is given more than once.")
        return given[0] if given else None


@contextmanager
def read_form(
    folder: Path, run: Run, check: Check, *, file_limit: int, total_limit: int
) -> Iterator[Form]:
    """The request's form; its files are closed, and so gone, at the end.

    `run` is where blocking work belongs. `check` is told each field as soon as it is there: what it
    raises keeps the files that come after from being read. A file over `file_limit` bytes gets a
    TooLarge as its problem and the others go on. Raises TooLarge over `total_limit`,
    UnsupportedType for another kind of body, BadInput for one that is not a form, StorageFull.
    """
    boundary = request.mimetype_params.get("boundary", "")
    if request.mimetype != "multipart/form-data" or not boundary:
        raise UnsupportedType("Send the files as multipart/form-data, in parts named `file`.")
    too_large = TooLarge(
        f"The upload is larger than {total_limit >> 20} MiB. Send the files one by one."
    )
    if (request.content_length or 0) > total_limit:
        raise too_large
    form = Form()
    reader = _Reader(form, boundary.encode(), folder, run, check, file_limit)
    # Werkzeug's own limit stands in front of the stream; ours has the better words.
    request.max_content_length = None
    try:
        received = 0
        while data := request.stream.read(READ_BYTES):
            received += len(data)
            if received > total_limit:
                raise too_large
            reader.feed(data)
        reader.finish()
        run(lambda: [upload.content.seek(0) for upload in form.files])
        yield form
    except UnicodeDecodeError:
        raise BadInput("A name in the form is not valid UTF-8.", code="invalid_utf8") from None
    except (multipart.Malformed, ClientDisconnected) as error:
        raise BadInput(f"The form cannot be read: {error}.", code="bad_form") from None
    finally:
        for upload in form.files:
            upload.content.close()


class _Reader:
    """Turns pieces of the body into the form's parts."""

    def __init__(
        self, form: Form, boundary: bytes, folder: Path, run: Run, check: Check, limit: int
    ) -> None:
        self._form = form
        self._decoder = multipart.Decoder(boundary)
        self._folder = folder
        self._run = run
        self._check = check
        self._limit = limit
        self._parts = 0
        self._name = ""
        self._upload: Upload | None = None
        self._block = bytearray()

    def feed(self, data: bytes) -> None:
        """Take the next piece."""
        for event in self._decoder.feed(data):
            if isinstance(event, multipart.Part):
                self._begin(event)
            elif isinstance(event, multipart.End):
                self._end()
            else:
                self._block += event
                if self._upload is None and len(self._block) > FIELD_BYTES:
                    raise TooLarge(f"The field `{self._name}` is too large.")
                if self._upload is not None and len(self._block) >= BLOCK_BYTES:
                    self._write(self._upload)

    def finish(self) -> None:
        """There is no more."""
        if not self._decoder.finished:
            raise multipart.Malformed("it ends before its last part does")

    def _begin(self, part: multipart.Part) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise TooLarge(f"The form has more than {MAX_PARTS} parts. Send fewer at a time.")
        self._name, self._upload = part.name, None
        if part.filename is not None:
            self._upload = Upload(inputs.clean(part.filename), self._open())
            self._form.files.append(self._upload)

    def _end(self) -> None:
        if self._upload is not None:
            self._write(self._upload)
            return
        text = inputs.clean(self._block.decode())
        self._form.fields.setdefault(self._name, []).append(text)
        self._block = bytearray()
        self._check(self._name, text)

    def _open(self) -> BinaryIO:
        def make() -> Any:
            self._folder.mkdir(parents=True, exist_ok=True)
            return tempfile.TemporaryFile(dir=self._folder, buffering=0)

        opened: BinaryIO = _on_disk(self._run, make)
        return opened

    def _write(self, upload: Upload) -> None:
        block, self._block = self._block, bytearray()
        upload.size += len(block)
        if upload.size > self._limit:
            # The rest of the file is read and forgotten: other files may follow it.
            upload.problem = TooLarge(f"The file is larger than {self._limit >> 20} MiB.")
            return
        descriptor = upload.content.fileno()

        def write() -> None:
            view = memoryview(block)
            while view:
                view = view[os.write(descriptor, view) :]

        _on_disk(self._run, write)


def _on_disk(run: Run, work: Callable[[], Any]) -> Any:
    with naming_a_full_disk():
        return run(work)
