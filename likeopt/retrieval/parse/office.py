"""What Word, PowerPoint and Excel files have in common: a zip of XML parts that name each other."""

import posixpath
from pathlib import Path

import olefile

from likeopt.retrieval.parse.archive import Archive
from likeopt.retrieval.parse.builder import real_title
from likeopt.retrieval.parse.failures import Mislabelled, Unreadable
from likeopt.retrieval.parse.xml import local, parse_xml

_KINDS = {
    "word": "a Word document",
    "ppt": "a PowerPoint presentation",
    "xl": "an Excel workbook",
    "Contents": "a Hangul document (HWPX)",
}
_OLE_KINDS = (
    ("worddocument", "an old Word document"),
    ("powerpoint document", "an old PowerPoint presentation"),
    ("workbook", "an old Excel workbook"),
    ("book", "an old Excel workbook"),
    ("fileheader", "a Hangul document (HWP)"),
)


def open_package(path: Path, folder: str) -> Archive:
    """The file as an archive whose parts stand in `folder` (word, ppt, xl).

    Raises Unreadable (encrypted_file, damaged_file, archive_bomb), Mislabelled.
    """
    if olefile.isOleFile(path):
        raise Mislabelled(ole_kind(ole_streams(path)))
    archive = Archive(path)
    folders = {name.partition("/")[0] for name in archive.names}
    if folder not in folders:
        with archive:
            found = next((what for key, what in _KINDS.items() if key in folders), None)
            raise Mislabelled(found or "a zip archive")
    return archive


def ole_streams(path: Path) -> set[str]:
    """Names of what an OLE container holds, in lower case. Raises Unreadable (encrypted_file):
    Office wraps an encrypted file, of whatever kind, into such a container."""
    with olefile.OleFileIO(path) as ole:
        streams = {"/".join(entry).lower() for entry in ole.listdir()}
    if streams & {"encryptedpackage", "encryptioninfo"}:
        raise Unreadable("encrypted_file")
    return streams


def ole_kind(streams: set[str]) -> str:
    """What an OLE container holds, in words."""
    return next((what for name, what in _OLE_KINDS if name in streams), "an old Office document")


def relations(archive: Archive, part: str) -> dict[str, tuple[str, str]]:
    """id -> (last word of the type, path of the part) of what `part` refers to inside the file."""
    folder, name = posixpath.split(part)
    rels = posixpath.join(folder, "_rels", f"{name}.rels")
    if rels not in archive.names:
        return {}
    found = {}
    for element in parse_xml(archive.read(rels)):
        target = element.get("Target", "")
        if local(element) != "Relationship" or element.get("TargetMode") == "External":
            continue
        target = target[1:] if target.startswith("/") else posixpath.join(folder, target)
        kind = element.get("Type", "").rpartition("/")[2]
        found[element.get("Id", "")] = (kind, posixpath.normpath(target))
    return found


def main_part(archive: Archive) -> str:
    """The path of the document itself."""
    for kind, target in relations(archive, "").values():
        if kind == "officeDocument" and target in archive.names:
            return target
    raise Unreadable("damaged_file", "its main part is missing")


def title_of(archive: Archive) -> str | None:
    """The title in the file's properties, if a person wrote it."""
    if "docProps/core.xml" not in archive.names:
        return None
    for element in parse_xml(archive.read("docProps/core.xml")):
        if local(element) == "title":
            return real_title(element.text)
    return None
