"""OTLP metrics as they come over HTTP, protobuf or JSON -> metrics with their points. Pure.

Both encodings are read into the same two classes. Points are made when they are asked for, so that a metric nobody
understands costs nothing but its count.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import msgspec
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

NO_RECORDED_VALUE = 1  # the flag of a point that only says that there was nothing
DELTA, CUMULATIVE = 1, 2
LONGEST_TEXT = 255  # of an attribute; the rest is left out
MOST_ATTRIBUTES = 128
_GREATEST_NS = (1 << 64) - 1


class WireError(ValueError):
    """The body cannot be read as an OTLP metrics request."""


class Kind(Enum):
    """What adding up the points of a metric would mean."""

    GAUGE = "a gauge"  # a sum that may fall, since its start, is one too
    COUNTER = "a cumulative counter"
    DELTA = "a counter of differences"
    UNUSABLE = "neither a gauge nor a counter that only rises"


@dataclass(frozen=True, slots=True)
class Point:
    attributes: dict[str, str]
    start_ns: int  # 0: not told
    at_ns: int  # 0: not told
    value: float | None  # None: no value was recorded


@dataclass(frozen=True, slots=True)
class Metric:
    name: str
    unit: str
    kind: Kind
    resource: Mapping[str, str]
    scope: str
    count: int
    points: Iterable[Point]  # to be gone through once; none where the kind is UNUSABLE


def read_protobuf(body: bytes) -> Iterator[Metric]:
    """Every metric of an ExportMetricsServiceRequest.

    Raises:
        WireError: it is none.
    """
    try:
        request = ExportMetricsServiceRequest.FromString(body)
    except DecodeError as error:
        raise WireError("the body is not a protobuf ExportMetricsServiceRequest") from error
    return _of_message(request)


def read_json(body: bytes) -> Iterator[Metric]:
    """The same from OTLP's JSON: lowerCamelCase, 64-bit numbers as text or as numbers.

    Raises:
        WireError: it is not JSON, or a field has another type.
    """
    try:
        request = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"the body is not an OTLP JSON request: {error}") from error
    return iter([metric for of in request.resourceMetrics or () for metric in _of_json(of)])


def _of_message(request: Any) -> Iterator[Metric]:
    for of_resource in request.resource_metrics:
        resource = _attributes(of_resource.resource.attributes)
        for of_scope in of_resource.scope_metrics:
            for metric in of_scope.metrics:
                shape = metric.WhichOneof("data")
                points = getattr(metric, shape).data_points if shape else ()
                kind = Kind.GAUGE if shape == "gauge" else Kind.UNUSABLE
                if shape == "sum":
                    kind = _kind(metric.sum.is_monotonic, metric.sum.aggregation_temporality)
                read = _points(points) if kind is not Kind.UNUSABLE else ()
                yield Metric(metric.name, metric.unit, kind, resource, of_scope.scope.name, len(points), read)


def _kind(monotonic: bool, temporality: int) -> Kind:
    if temporality == CUMULATIVE:
        return Kind.COUNTER if monotonic else Kind.GAUGE
    return Kind.DELTA if monotonic and temporality == DELTA else Kind.UNUSABLE


def _points(points: Iterable[Any]) -> Iterator[Point]:
    for point in points:
        shape = point.WhichOneof("value")
        told = shape is not None and not point.flags & NO_RECORDED_VALUE
        value = float(getattr(point, shape)) if told else None
        yield Point(_attributes(point.attributes), point.start_time_unix_nano, point.time_unix_nano, value)


def _attributes(pairs: Sequence[Any]) -> dict[str, str]:
    """Those with one plain value, as text."""
    read = {}
    for pair in pairs[:MOST_ATTRIBUTES]:
        shape = pair.value.WhichOneof("value")
        if shape in ("string_value", "int_value", "double_value", "bool_value"):
            read[pair.key] = _text(getattr(pair.value, shape))
    return read


def _text(value: str | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)[:LONGEST_TEXT]


# JSON


class _Value(msgspec.Struct):
    stringValue: str | None = None
    boolValue: bool | None = None
    intValue: str | int | None = None
    doubleValue: str | float | None = None


class _Pair(msgspec.Struct):
    key: str = ""
    value: _Value | None = None


class _Resource(msgspec.Struct):
    attributes: list[_Pair] | None = None


class _Scope(msgspec.Struct):
    name: str | None = None


class _Point(msgspec.Struct):
    attributes: list[_Pair] | None = None
    startTimeUnixNano: str | int | None = None
    timeUnixNano: str | int | None = None
    asDouble: str | float | None = None
    asInt: str | int | None = None
    flags: int | None = None


class _Gauge(msgspec.Struct):
    dataPoints: list[_Point] | None = None


class _Sum(msgspec.Struct):
    dataPoints: list[_Point] | None = None
    aggregationTemporality: int | str | None = None
    isMonotonic: bool | None = None


class _Other(msgspec.Struct):
    dataPoints: list[Any] | None = None


class _Metric(msgspec.Struct):
    name: str = ""
    unit: str | None = None
    gauge: _Gauge | None = None
    sum: _Sum | None = None
    histogram: _Other | None = None
    exponentialHistogram: _Other | None = None
    summary: _Other | None = None


class _OfScope(msgspec.Struct):
    scope: _Scope | None = None
    metrics: list[_Metric] | None = None


class _OfResource(msgspec.Struct):
    resource: _Resource | None = None
    scopeMetrics: list[_OfScope] | None = None


class _Request(msgspec.Struct):
    resourceMetrics: list[_OfResource] | None = None


_decoder = msgspec.json.Decoder(_Request)
_TEMPORALITIES = {"AGGREGATION_TEMPORALITY_DELTA": DELTA, "AGGREGATION_TEMPORALITY_CUMULATIVE": CUMULATIVE}


def _of_json(of_resource: _OfResource) -> Iterator[Metric]:
    resource = _json_attributes(of_resource.resource.attributes if of_resource.resource else None)
    for of_scope in of_resource.scopeMetrics or ():
        scope = (of_scope.scope.name or "") if of_scope.scope else ""
        for metric in of_scope.metrics or ():
            kind, points = _json_data(metric)
            read = [_json_point(point) for point in points] if kind is not Kind.UNUSABLE else []
            yield Metric(metric.name, metric.unit or "", kind, resource, scope, len(points), read)


def _json_data(metric: _Metric) -> tuple[Kind, list[Any]]:
    if metric.gauge is not None:
        return Kind.GAUGE, metric.gauge.dataPoints or []
    if metric.sum is not None:
        told = metric.sum.aggregationTemporality
        temporality = _TEMPORALITIES.get(told, 0) if isinstance(told, str) else told or 0
        return _kind(bool(metric.sum.isMonotonic), temporality), metric.sum.dataPoints or []
    others = (metric.histogram, metric.exponentialHistogram, metric.summary)
    return Kind.UNUSABLE, next((other.dataPoints or [] for other in others if other is not None), [])


def _json_point(point: _Point) -> Point:
    told = point.asDouble if point.asDouble is not None else point.asInt
    recorded = told is not None and not (point.flags or 0) & NO_RECORDED_VALUE
    return Point(
        _json_attributes(point.attributes),
        _nanoseconds(point.startTimeUnixNano),
        _nanoseconds(point.timeUnixNano),
        _number(told) if recorded else None,
    )


def _json_attributes(pairs: list[_Pair] | None) -> dict[str, str]:
    read = {}
    for pair in (pairs or [])[:MOST_ATTRIBUTES]:
        held = pair.value
        values = (held.stringValue, held.boolValue, held.intValue, held.doubleValue) if held else ()
        if (value := next((one for one in values if one is not None), None)) is not None:
            read[pair.key] = _text(value)
    return read


def _nanoseconds(told: str | int | None) -> int:
    try:
        ns = int(told or 0)
    except ValueError as error:
        raise WireError(f"a time of {str(told)[:40]!r}: write nanoseconds since 1970 as digits") from error
    if not 0 <= ns <= _GREATEST_NS:
        raise WireError(f"a time of {ns} nanoseconds does not fit in 64 bits")
    return ns


def _number(told: Any) -> float:
    try:
        return float(told)
    except (ValueError, OverflowError) as error:
        raise WireError(f"a value of {str(told)[:40]!r} is not a number") from error
