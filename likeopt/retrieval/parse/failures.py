"""Why a file cannot be read, in one place: a code for programs and what to do for a person."""

from likeopt.errors import UnreadableFile

# Past this a "document" is a data set: at 800 characters a passage it would make 28,000
# passages, three hours of embedding on one core.
MAX_TEXT = 20_000_000
# A page of A4 scanned at 600 dpi has 35 million, most cameras take 12 to 50; as RGBA 200 MB.
MAX_PIXELS = 50_000_000

_MESSAGES = {
    "archive_bomb": "unpacks to far more than a document holds, so it was not opened."
    " If it is genuine, split it into smaller files.",
    "damaged_file": "is damaged or incomplete and cannot be read. Open it in the program that"
    " made it, save it again, and add the new file.",
    "empty_file": "is empty. Add it again once it has content.",
    "encrypted_file": "is protected by a password or by rights management. Save a copy without"
    " protection and add that.",
    "missing_file": "was removed while it was being read. Add it again.",
    "no_picture": "has no such page or picture.",
    "no_text": "has no text to search in.",
    "not_drawn": "cannot be shown as a picture: it is damaged, hostile or takes too long."
    " Open the original instead.",
    "parser_crashed": "makes its reader crash, so it is damaged or hostile. Open it in the"
    " program that made it, save it in another format, and add that.",
    "parser_memory": "needs more memory to read than is allowed. Split it, or raise"
    " LIKEOPT_PARSE_MEMORY_MB.",
    "parser_timeout": "takes longer to read than is allowed. Split it, or raise"
    " LIKEOPT_PARSE_TIMEOUT.",
    "too_large_picture": f"holds a picture of more than {MAX_PIXELS // 1_000_000} million pixels,"
    " which is not shown. Open the original instead.",
    "too_large_text": f"holds more than {MAX_TEXT // 1_000_000} million characters of text."
    " Split it into smaller files.",
    "unknown_charset": "is not valid UTF-8 and fits no other character set. Save it as UTF-8.",
}


def unreadable(code: str, name: str = "The file", detail: str = "") -> UnreadableFile:
    """The error for `code`; `name` starts the sentence and `detail` ends it."""
    message = f"{name} {_MESSAGES[code]}"
    return UnreadableFile(f"{message} ({detail})" if detail else message, code=code)


class Unreadable(Exception):
    """Raised inside parsers, which do not know what the file is called."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail


class Mislabelled(Exception):
    """Raised inside parsers when a container turns out to hold something else."""

    def __init__(self, content: str) -> None:
        super().__init__(content)
        self.content = content
