"""Bytes -> a checked batch and what was wrong with the rest. Pure: no database, no clock.

A clean message is decoded and checked in one pass of msgspec. Anything else is read again item by item, so that one bad
sample never loses the batch; tests hold the two ways to the same verdicts. Only an envelope that cannot be read refuses
the whole.
"""

import dataclasses
import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec

from accounting.agent import wire
from accounting.agent.wire import ItemError
from accounting.ingest.shapes import EARLIEST, LISTS, RULES, CheckedAgent, CheckedBatch, Fault, shown

MAX_DEPTH = 32
LONGEST_WHOLE = 30  # digits; a longer number is beyond every limit, so it is read as a float
FACILITY_READINGS = ("pue", "cooling_power_w", "wue_l_per_kwh", "water_l", "grid_intensity_g_per_kwh")
LONGEST_SPAN = timedelta(days=366)
LATER_FORBIDDEN = "lies in the future: set the host's clock"
_LIST_KEYS = [f'"{name}"'.encode() for name in LISTS]
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_BRACKETS_ALIKE = bytes.maketrans(b"{}", b"[]")
_TOKENS = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{}]', re.DOTALL)
_STEP = {b"[": 1, b"{": 1, b"]": -1, b"}": -1}
_HIDDEN = re.compile("[\x7f-\x9f]")  # control characters that JSON lets stand unescaped
_decoder = msgspec.json.Decoder(CheckedBatch)


class EnvelopeError(ValueError):
    """The message as a whole cannot be read; nothing of it was taken. `status` is the HTTP status to answer with."""

    def __init__(self, code: str, detail: str, status: int = 400) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.status = status


def parse(body: bytes, *, latest: datetime) -> tuple[CheckedBatch, list[ItemError]]:
    """Read a telemetry message.

    Args:
        body: the JSON, decompressed.
        latest: the last instant that is not "in the future": now, plus the clock error granted to agents.

    Raises:
        EnvelopeError: not JSON, nested too deep, too many items, an unknown schema, or parts of the wrong type.
    """
    _refuse_depth(body)
    batch = _decode_clean(body, latest)
    if batch is not None and not _repeats_a_list(body, batch):
        _refuse_size({name: getattr(batch, name) for name in LISTS})
        return batch, []
    return _decode_item_by_item(body, latest)


def check(batch: wire.TelemetryBatch, *, latest: datetime) -> tuple[CheckedBatch, list[ItemError]]:
    """The same for a batch made in Python.

    Raises:
        EnvelopeError: as `parse`.
        ValueError: a number is NaN or infinite.
    """
    return parse(wire.encode(batch), latest=latest)


def _decode_clean(body: bytes, latest: datetime) -> CheckedBatch | None:
    """The batch, if every item is good; None when it has to be looked at item by item."""
    if b"\\" in body:
        return None  # an escape may hide a control character
    try:
        if not body.isascii() and _HIDDEN.search(body.decode()):
            return None
        batch = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    if b"\x7f" in body or any(min(instants) < EARLIEST or max(instants) > latest for instants in _instants(batch)):
        return None
    if batch.agent is not None and batch.agent.sent_at is not None and batch.agent.sent_at < EARLIEST:
        return None
    if any(s.power_w is None and s.energy_j is None for s in batch.device_samples):
        return None
    whole = (batch.jobs, batch.job_marks, batch.energy_spans, batch.facility_samples)
    if any(_fault_between_fields(msgspec.structs.asdict(item)) for items in whole for item in items):
        return None
    return batch


def _instants(batch: CheckedBatch) -> Iterator[list[datetime]]:
    """Every instant that must not lie in the future, in lists that are not empty.

    An agent's own clock is not among them: how far it is off is worth knowing.
    """
    work = [*batch.jobs, *batch.job_marks, *batch.energy_spans]
    ends = [at for item in work for at in (item.started_at, item.ended_at) if at is not None]
    yield from filter(
        None,
        (
            [s.measured_at for s in batch.device_samples],
            [s.measured_at for s in batch.facility_samples],
            [use.measured_at for use in batch.device_uses],
            ends,
        ),
    )


def _repeats_a_list(body: bytes, batch: CheckedBatch) -> bool:
    """Whether a list may have been given twice, of which the decoder kept the last only."""
    if body.count(b"[") <= sum(bool(getattr(batch, name)) for name in LISTS):
        return False  # no more lists than were read
    return any(body.count(key) > 1 for key in _LIST_KEYS)


def _decode_item_by_item(body: bytes, latest: datetime) -> tuple[CheckedBatch, list[ItemError]]:
    raw = _read_object(body)
    if raw.get("schema", wire.SCHEMA_VERSION) != wire.SCHEMA_VERSION or isinstance(raw.get("schema"), bool):
        raise EnvelopeError("unknown_schema", f"schema {shown(raw['schema'])}: this server reads {wire.SCHEMA_VERSION}")
    lists = {name: [] if raw.get(name) is None else raw[name] for name in LISTS}
    for name, items in lists.items():
        if not isinstance(items, list):
            raise EnvelopeError("bad_envelope", f"{name} is {shown(items)}, not a list")
    _refuse_size(lists)
    agent, errors = _read_agent(raw.get("agent"))
    kept: dict[str, list[msgspec.Struct]] = {}
    for name, items in lists.items():
        kept[name] = []
        for index, item in enumerate(items):
            read = _read_item(name, item, latest)
            if isinstance(read, msgspec.Struct):
                kept[name].append(read)
            else:
                field, fault = read
                errors.append(ItemError(name, index, field, fault.code, fault.detail))
    return CheckedBatch(agent=agent, **kept), errors


def _read_object(body: bytes) -> dict[str, Any]:
    """The outermost object, by a reader that takes NaN, halves of surrogate pairs and numbers of any length."""
    outermost: list[tuple[str, Any]] = []

    def remember(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        outermost[:] = pairs  # the outermost object is the last to close
        return dict(pairs)

    def whole(digits: str) -> float:
        return int(digits) if len(digits) <= LONGEST_WHOLE else float(digits)

    try:
        raw = json.loads(body.decode(), parse_int=whole, object_pairs_hook=remember)
    except (ValueError, RecursionError) as error:
        raise EnvelopeError("not_json", f"the body is not JSON: {error}") from error
    if not isinstance(raw, dict):
        raise EnvelopeError("bad_envelope", f"the body is {shown(raw)}, not an object")
    names = [name for name, _ in outermost]
    repeated = sorted(name for name in {*LISTS, "agent", "schema"} if names.count(name) > 1)
    if repeated:
        raise EnvelopeError("bad_envelope", f"{', '.join(repeated)}: given twice; send one list each")
    return raw


def _read_agent(raw: object) -> tuple[Any, list[ItemError]]:
    """Without a name, a host and a boot nothing can be booked; the rest of an agent may be wrong and is left out."""
    if raw is None:
        return None, []
    if not isinstance(raw, dict):
        raise EnvelopeError("bad_envelope", f"agent is {shown(raw)}, not an object")
    kept, errors = {}, []
    for field, fault in _faults(wire.AgentInfo, raw):
        if fault is None:
            kept[field] = raw[field]
        elif field in ("id", "host", "boot_id"):
            raise EnvelopeError("bad_envelope", f"agent.{field}: {fault.detail}")
        else:
            errors.append(ItemError("agent", 0, field, fault.code, fault.detail))
    return msgspec.convert(kept, CheckedAgent), errors


def _read_item(name: str, raw: object, latest: datetime) -> msgspec.Struct | tuple[str, Fault]:
    """The item, or the first field at fault."""
    message, shape = LISTS[name]
    if not isinstance(raw, dict):
        return "", Fault("bad_type", f"{shown(raw)} is not an object")
    kept = {}
    for field, fault in _faults(message, raw):
        if fault is not None:
            return field, fault
        kept[field] = raw[field]
    item = msgspec.convert(kept, shape)
    values = msgspec.structs.asdict(item)
    for field, value in values.items():
        if isinstance(value, datetime) and value > latest:
            return field, Fault("in_future", f"{shown(raw[field])} {LATER_FORBIDDEN}")
    return _fault_between_fields(values) or item


def _faults(message: type, raw: dict[str, Any]) -> Iterator[tuple[str, Fault | None]]:
    """Every field that is there, and every required one that is not, with what is wrong with it."""
    for field in dataclasses.fields(message):
        value = raw.get(field.name)
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if value is None and required:
            yield field.name, Fault("missing", f"{field.name} is required")
        elif value is None and (field.default is None or field.name not in raw):
            continue
        else:
            yield field.name, RULES[message][field.name].fault(value)


def _fault_between_fields(values: dict[str, Any]) -> tuple[str, Fault] | None:
    """What no single field shows: a sample without a reading, an end before its start."""
    if "power_w" in values and values["power_w"] is None and values["energy_j"] is None:
        return "power_w", Fault("missing", "neither power_w nor energy_j: send one of them, or leave the sample out")
    if "pue" in values and all(values[reading] is None for reading in FACILITY_READINGS):
        return "pue", Fault("missing", f"no reading: send one of {', '.join(FACILITY_READINGS)}")
    start, end = values.get("started_at"), values.get("ended_at")
    if "run" in values and not start < end <= start + LONGEST_SPAN:
        detail = (
            f"from {start.isoformat()} to {end.isoformat()}: a span takes some time, {LONGEST_SPAN.days} days at most"
        )
        return "ended_at", Fault("bad_time", detail)
    if start is not None and end is not None and end < start:
        return "ended_at", Fault("bad_time", f"ended_at {end.isoformat()} lies before started_at {start.isoformat()}")
    return None


def _refuse_size(lists: dict[str, list[Any]]) -> None:
    samples = sum(len(lists[name]) for name in ("device_samples", "device_uses", "energy_spans", "facility_samples"))
    others = len(lists["devices"]) + len(lists["jobs"]) + len(lists["job_marks"])
    if max(samples, others) > wire.MAX_SAMPLES:
        raise EnvelopeError(
            "too_many", f"{samples} samples and {others} other items: at most {wire.MAX_SAMPLES} of each", 413
        )


def _refuse_depth(body: bytes) -> None:
    """Nesting is bounded before any parser sees it: cheaply, by folding the innermost pairs of brackets away."""
    brackets = body.translate(_BRACKETS_ALIKE, _NOT_BRACKETS)
    for _ in range(MAX_DEPTH):
        brackets = brackets.replace(b"[]", b"")
        if not brackets:
            return
    depth = 0
    for token in _TOKENS.finditer(body):  # brackets inside strings do not fold: count the real ones
        depth += _STEP.get(token[0], 0)
        if depth > MAX_DEPTH:
            raise EnvelopeError("too_deep", f"nested deeper than {MAX_DEPTH}")
