"""What Word, PowerPoint and Excel files have in common: a zip of XML parts that name each other."""

import posixpath

from likeopt.retrieval.parse.archive import Archive
from likeopt.retrieval.parse.builder import real_title
from likeopt.retrieval.parse.failures import Unreadable
from likeopt.retrieval.parse.xml import local, parse_xml


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
