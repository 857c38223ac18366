"""XML from outside: no document type, so no entity and nothing external; bounded in size and depth."""

from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from accounting.factors.providers.base import WrongSchema

MOST_BYTES = 8_000_000
MOST_DEPTH = 32


def parse_xml(body: bytes, *, who: str) -> Element:
    """The root element. Raises WrongSchema."""
    if len(body) > MOST_BYTES:
        raise WrongSchema(f"{who} answered {len(body)} bytes of XML: more than {MOST_BYTES}")
    builder, depth = TreeBuilder(), 0

    def refuse(*_: object) -> None:
        raise WrongSchema(f"{who}: the XML declares a document type or an entity: refused")

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > MOST_DEPTH:
            raise WrongSchema(f"{who}: the XML is nested deeper than {MOST_DEPTH}")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    parser = expat.ParserCreate(namespace_separator="}")
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(body, True)
    except expat.ExpatError as error:
        raise WrongSchema(f"{who} answered no XML: {error}") from error
    return builder.close()


def local_name(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def children(element: Element, name: str) -> list[Element]:
    return [one for one in element if local_name(one) == name]


def child(element: Element, name: str, who: str) -> Element:
    """The first child of that name. Raises WrongSchema."""
    if found := children(element, name):
        return found[0]
    raise WrongSchema(f"{who}: no {name} in {local_name(element)}")


def text(element: Element) -> str:
    return (element.text or "").strip()
