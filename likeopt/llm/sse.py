"""Server-sent events, as bytes arrive: https://html.spec.whatwg.org/multipage/server-sent-events.html"""

import re

from likeopt.errors import ModelUnavailable

# Bytes of an event, with the comments before it. No model sends one near this long; what does is no
# model.
MAX_EVENT = 1 << 20

_line_end = re.compile(rb"\r\n|\n|\r")


class EventParser:
    """Collects the `data` of events. Comments, which servers send to keep a connection open, and
    other fields are passed over.

    Lines are split as bytes, so a character that arrives in two pieces stays whole.
    """

    def __init__(self) -> None:
        self._rest = bytearray()
        # Bytes since the last event.
        self._size = 0
        self._data: list[str] = []

    def feed(self, block: bytes) -> list[str]:
        """The data of the events that `block` completes. Raises ModelUnavailable for an event
        without end."""
        found: list[str] = []
        # What was held without an end of line is not looked through again.
        ended = self._rest.endswith(b"\r") or _line_end.search(block)
        self._rest += block
        self._size += len(block)
        if ended:
            # A final \r may be the first half of \r\n.
            text = bytes(self._rest)
            held = b"\r" if text.endswith(b"\r") else b""
            *lines, rest = _line_end.split(text.removesuffix(held))
            self._rest = bytearray(rest + held)
            found = [data for line in lines if (data := self._line(line)) is not None]
        if found:
            self._size = len(self._rest)
        if self._size > MAX_EVENT:
            raise ModelUnavailable("The model's answer is not a stream of events.")
        return found

    def end(self) -> list[str]:
        """What a server left unfinished: some omit the last empty line."""
        return self.feed(b"\n\n")

    def _line(self, line: bytes) -> str | None:
        if not line:
            data = "\n".join(self._data)
            self._data.clear()
            return data or None
        field, _, value = line.partition(b":")
        if field == b"data":
            self._data.append(value.removeprefix(b" ").decode("utf-8", "replace"))
        return None
