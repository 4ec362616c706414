"""XML from inside office files, read without entities, DTDs or the network."""

from collections.abc import Iterator
from typing import IO, Any

from lxml import etree

from likeopt.retrieval.parse.failures import Unreadable

# lxml has no types of its own.
Element = Any


def parse_xml(data: bytes) -> Element:
    """The root element. Office files never have a DTD, so one means that something is wrong."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True
    )
    root = etree.fromstring(data, parser)
    if root.getroottree().docinfo.doctype:
        raise Unreadable("damaged_file", "its XML has a document type definition")
    return root


def children_of(stream: IO[bytes], parent: str, *names: str) -> Iterator[Element]:
    """Each complete child called one of `names` of the element `parent`, in constant memory."""
    found = etree.iterparse(
        stream,
        events=("end",),
        tag=[f"{{*}}{name}" for name in names],
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        remove_comments=True,
    )
    first = True
    for _, element in found:
        if first and element.getroottree().docinfo.doctype:
            raise Unreadable("damaged_file", "its XML has a document type definition")
        first = False
        above = element.getparent()
        if above is None or local(above) != parent:
            continue
        yield element
        element.clear()
        while element.getprevious() is not None:
            del above[0]


def local(element: Element) -> str:
    """The element's name without its namespace; empty for comments and the like."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def attribute(element: Element, name: str) -> str | None:
    """The attribute's value whatever its namespace (transitional and strict files differ)."""
    value: str | None = element.get(name)
    if value is not None:
        return value
    for key, found in element.attrib.items():
        if key.rpartition("}")[2] == name:
            return str(found)
    return None


def child(element: Element, *path: str) -> Element:
    """The first descendant along `path`, by names without namespace."""
    for name in path:
        if element is None:
            return None
        element = next((one for one in element if local(one) == name), None)
    return element
