"""Prometheus remote-write messages, 1.0 and 2.0: bytes -> series. Pure.

Only the fields that are read are declared, with the numbers the specification gives them; the parser skips the rest.
Labels stay bytes until someone asks, for two reasons: what is wrong with one costs its own series and not the request,
and a series that was seen before is known again by its bytes, without reading them.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

MOST_LABELS = 100  # of one series
NAME = "__name__"
_Field = descriptor_pb2.FieldDescriptorProto
_PACKAGE = "greenai.remote_write"

# message -> field -> (number, type, repeated, message type)
_MESSAGES: dict[str, dict[str, tuple[int, int, bool, str]]] = {
    "Sample": {
        "value": (1, _Field.TYPE_DOUBLE, False, ""),
        "timestamp": (2, _Field.TYPE_INT64, False, ""),
    },
    "Label": {"name": (1, _Field.TYPE_BYTES, False, ""), "value": (2, _Field.TYPE_BYTES, False, "")},
    "Series1": {
        "labels": (1, _Field.TYPE_BYTES, True, ""),  # each a Label
        "samples": (2, _Field.TYPE_MESSAGE, True, "Sample"),
        "exemplars": (3, _Field.TYPE_BYTES, True, ""),
        "histograms": (4, _Field.TYPE_BYTES, True, ""),
    },
    "Request1": {"timeseries": (1, _Field.TYPE_MESSAGE, True, "Series1")},
    "Series2": {
        "labels_refs": (1, _Field.TYPE_UINT32, True, ""),
        "samples": (2, _Field.TYPE_MESSAGE, True, "Sample"),
        "histograms": (3, _Field.TYPE_BYTES, True, ""),
        "exemplars": (4, _Field.TYPE_BYTES, True, ""),
    },
    "Request2": {
        "symbols": (4, _Field.TYPE_BYTES, True, ""),
        "timeseries": (5, _Field.TYPE_MESSAGE, True, "Series2"),
    },
}


class WireError(ValueError):
    """The message as a whole cannot be read."""


@dataclass(slots=True)
class Series:
    """One series of a request. Two of the same version with the same `key` have the same labels, or the same fault."""

    version: int
    key: tuple[bytes, ...]  # encoded labels (1), or names and values in turn (2); empty: refers beyond the symbols
    samples: Sequence[Any] = ()  # each with `value` and `timestamp` (milliseconds since 1970)
    histograms: int = 0
    exemplars: int = 0

    def labels(self) -> tuple[dict[str, str], str]:
        """The labels, or none and what is wrong with them."""
        if self.version == 2:
            return _labels(self.key) if self.key else ({}, "its labels refer beyond the symbols of the request")
        try:
            read = [_CLASSES["Label"].FromString(encoded) for encoded in self.key]
        except DecodeError:
            return {}, "a label is no protobuf message"
        return _labels([text for label in read for text in (label.name, label.value)])


def read_v1(body: bytes) -> Iterator[Series]:
    """The series of a `prometheus.WriteRequest`, decompressed.

    Raises:
        WireError: not such a message.
    """
    for one in _parsed("Request1", body).timeseries:
        yield Series(1, tuple(one.labels), one.samples, len(one.histograms), len(one.exemplars))


def read_v2(body: bytes) -> Iterator[Series]:
    """The series of an `io.prometheus.write.v2.Request`, decompressed.

    Raises:
        WireError: not such a message.
    """
    request = _parsed("Request2", body)
    symbols = list(request.symbols)
    for one in request.timeseries:
        try:
            key = tuple([symbols[ref] for ref in one.labels_refs])
        except IndexError:
            key = ()
        yield Series(2, key, one.samples, len(one.histograms), len(one.exemplars))


def _labels(texts: Sequence[bytes]) -> tuple[dict[str, str], str]:
    """Name, value, name, value, … as labels, or what is wrong with them."""
    if len(texts) % 2 or len(texts) > 2 * MOST_LABELS:
        return {}, f"{len(texts)} names and values of labels: pairs, {MOST_LABELS} at most"
    try:
        names = [sys.intern(text.decode()) for text in texts[::2]]  # kept for long, and mostly the same
        labels = dict(zip(names, [sys.intern(text.decode()) for text in texts[1::2]], strict=True))
    except UnicodeDecodeError:
        return {}, "a label is not UTF-8"
    if len(labels) < len(names):
        return {}, f"a label stands twice among {', '.join(names)[:200]}"
    if not labels.get(NAME):
        return {}, f"a series without {NAME}"
    return labels, ""


def _parsed(name: str, body: bytes) -> Any:
    try:
        return _CLASSES[name].FromString(body)
    except DecodeError as error:
        raise WireError("the body is not the protobuf message that its Content-Type names") from error


def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="greenai_remote_write.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field_name, (number, kind, repeated, of) in fields.items():
            label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
            added = message.field.add(name=field_name, number=number, type=kind, label=label)  # type: ignore[arg-type]
            if of:
                added.type_name = f".{_PACKAGE}.{of}"
    pool = descriptor_pool.DescriptorPool()  # of our own: others may hold the official messages
    pool.Add(file)  # type: ignore[no-untyped-call]
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES
    }


_CLASSES = _classes()
