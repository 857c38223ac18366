import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accounting.agent import wire
from accounting.ingest import validate
from accounting.ingest.shapes import LISTS, CheckedBatch
from accounting.ingest.validate import EnvelopeError, check, parse

LATEST = datetime(2026, 11, 20, 12, 5, tzinfo=UTC)
AT = "2026-11-20T12:00:00Z"
GOOD = {"device": "gpu-0", "measured_at": AT, "power_w": 300.0}
AGENT = {"id": "a", "host": "h", "boot_id": "b"}


def body(*samples: object, **more: object) -> bytes:
    return json.dumps({"agent": AGENT, "device_samples": list(samples), **more}).encode()


def verdict(raw: bytes) -> tuple[CheckedBatch, list[tuple[str, int, str, str]]]:
    batch, errors = parse(raw, latest=LATEST)
    return batch, [(e.list, e.index, e.field, e.code) for e in errors]


class TestParse:
    def test_reads_a_clean_message_into_instants_and_numbers(self) -> None:
        batch, errors = verdict(body(GOOD | {"job": "train-1", "seq": 7}, devices=[{"device": "gpu-0", "kind": "gpu"}]))
        sample = batch.device_samples[0]
        assert errors == []
        assert (sample.measured_at, sample.power_w, sample.seq) == (datetime(2026, 11, 20, 12, tzinfo=UTC), 300.0, 7)
        assert (sample.source, sample.status, sample.revision) == ("agent", "measured", 0)
        assert batch.devices[0].kind == "gpu"

    @pytest.mark.parametrize(
        ("change", "field", "code"),
        [
            ({"power_w": float("nan")}, "power_w", "not_finite"),
            ({"power_w": float("inf")}, "power_w", "not_finite"),
            ({"power_w": float("-inf")}, "power_w", "not_finite"),
            ({"power_w": -1}, "power_w", "negative"),
            ({"power_w": 1e12}, "power_w", "out_of_range"),
            ({"power_w": "12"}, "power_w", "bad_type"),
            ({"power_w": True}, "power_w", "bad_type"),
            ({"power_w": [1]}, "power_w", "bad_type"),
            ({"power_w": None}, "power_w", "missing"),
            ({"energy_j": 1e16}, "energy_j", "out_of_range"),
            ({"utilization": 1.01}, "utilization", "out_of_range"),
            ({"memory_used_bytes": 1.5}, "memory_used_bytes", "bad_type"),
            ({"memory_used_bytes": 10**29}, "memory_used_bytes", "out_of_range"),
            ({"seq": -1}, "seq", "negative"),
            ({"revision": 2**31}, "revision", "out_of_range"),
            ({"measured_at": "2026-11-20T12:00:00"}, "measured_at", "bad_time"),
            ({"measured_at": "yesterday"}, "measured_at", "bad_time"),
            ({"measured_at": 1763640000}, "measured_at", "bad_type"),
            ({"measured_at": "1970-01-01T00:00:10Z"}, "measured_at", "bad_time"),
            ({"measured_at": "0001-01-01T00:00:00+10:00"}, "measured_at", "bad_time"),
            ({"measured_at": "2026-11-20T12:05:00.000001Z"}, "measured_at", "in_future"),
            ({"measured_at": None}, "measured_at", "missing"),
            ({"device": None}, "device", "missing"),
            ({"device": ""}, "device", "bad_text"),
            ({"device": "a\x00b"}, "device", "bad_text"),
            ({"device": "a\x7fb"}, "device", "bad_text"),
            ({"device": "a\x85b"}, "device", "bad_text"),
            ({"device": "\ud800"}, "device", "bad_text"),
            ({"device": "x" * 121}, "device", "bad_text"),
            ({"job": "a\nb"}, "job", "bad_text"),
            ({"source": "guess"}, "source", "bad_choice"),
            ({"source": []}, "source", "bad_choice"),
        ],
    )
    def test_rejects_a_bad_sample_by_a_stable_code_and_keeps_its_neighbours(
        self, change: dict[str, Any], field: str, code: str
    ) -> None:
        after = GOOD | {"measured_at": "2026-11-20T12:01:00Z"}
        batch, errors = verdict(body(GOOD, GOOD | change, after))
        assert errors == [("device_samples", 1, field, code)]
        assert [sample.measured_at.minute for sample in batch.device_samples] == [0, 1]

    @pytest.mark.parametrize("written", ["1e400", "-1e400", "9" * 5000])
    def test_rejects_numbers_that_no_float_holds(self, written: str) -> None:
        raw = body(GOOD, GOOD).replace(b"300.0", written.encode(), 1)
        assert verdict(raw)[1] == [("device_samples", 0, "power_w", "not_finite")]

    @pytest.mark.parametrize("item", [None, 1, "x", [], True])
    def test_rejects_an_item_that_is_no_object(self, item: object) -> None:
        assert verdict(body(item, GOOD))[1] == [("device_samples", 0, "", "bad_type")]

    def test_ignores_fields_of_newer_agents_and_takes_null_for_not_set(self) -> None:
        batch, errors = verdict(body(GOOD | {"fan_rpm": [1], "job": None}, weather={"is": "fine"}))
        assert errors == []
        assert len(batch.device_samples) == 1

    def test_checks_facility_samples_marks_and_jobs(self) -> None:
        raw = body(
            facility_samples=[{"site": "paris", "measured_at": AT, "pue": 0.9}, {"site": "paris", "measured_at": AT}],
            job_marks=[{"job": "j", "started_at": AT, "ended_at": "2026-11-20T11:00:00Z"}],
            jobs=[{"job": "j", "project": "no slug!"}, {"job": "j", "started_at": "2027-01-01T00:00:00Z"}],
            devices=[{"device": "gpu-0", "kind": "abacus"}],
        )
        assert sorted(verdict(raw)[1]) == [
            ("devices", 0, "kind", "bad_choice"),
            ("facility_samples", 0, "pue", "out_of_range"),
            ("facility_samples", 1, "pue", "missing"),
            ("job_marks", 0, "ended_at", "bad_time"),
            ("jobs", 0, "project", "bad_text"),
            ("jobs", 1, "started_at", "in_future"),
        ]

    def test_keeps_the_batch_when_a_detail_of_the_agent_is_wrong(self) -> None:
        raw = body(GOOD, agent=AGENT | {"version": 3, "sent_at": "2031-01-01T00:00:00Z", "sensors": {"nvml": 1}})
        batch, errors = verdict(raw)
        assert errors == [("agent", 0, "version", "bad_type"), ("agent", 0, "sensors", "bad_type")]
        assert batch.agent.sent_at.year == 2031  # a clock that is off is worth knowing
        assert len(batch.device_samples) == 1

    @pytest.mark.parametrize(
        ("raw", "code"),
        [
            (b"", "not_json"),
            (b"{", "not_json"),
            (b'{"agent": nan}', "not_json"),
            (b"\xff\xfe{}", "not_json"),
            (b'{"device_samples": ["\xff"]}', "not_json"),
            (b"null", "bad_envelope"),
            (b"[]", "bad_envelope"),
            (b"NaN", "bad_envelope"),
            (b'{"device_samples": {}}', "bad_envelope"),
            (b'{"device_samples": 7}', "bad_envelope"),
            (b'{"agent": 7}', "bad_envelope"),
            (b'{"agent": {"id": "a", "host": "h"}}', "bad_envelope"),
            (b'{"agent": {"id": "a", "host": "h", "boot_id": "\\u0000"}}', "bad_envelope"),
            (b'{"device_samples": [], "device_samples": []}', "bad_envelope"),
            (b'{"schema": 2}', "unknown_schema"),
            (b'{"schema": true}', "unknown_schema"),
            (b"[" * 100_000, "too_deep"),
            (b'{"x":' * 100_000, "too_deep"),
            (b'{"x":' + b"[" * 32 + b"]" * 32 + b"}", "too_deep"),
            (b'{"device_samples": [' + b"{}," * 10_000 + b"{}]}", "too_many"),
        ],
    )
    def test_refuses_an_envelope_that_cannot_be_read(self, raw: bytes, code: str) -> None:
        with pytest.raises(EnvelopeError) as caught:
            parse(raw, latest=LATEST)
        assert caught.value.code == code
        assert caught.value.status == (413 if code == "too_many" else 400)

    def test_counts_brackets_in_names_as_text(self) -> None:
        assert verdict(body(GOOD | {"device": "gpu" + "[" * 100, "x": [[[]]]}))[1] == []
        deepest = b'{"x":' + b"[" * 31 + b"]" * 31 + b"}"
        assert verdict(deepest)[1] == []

    def test_reads_names_in_any_script_and_escaped_names_alike(self) -> None:
        raw = json.dumps({"agent": AGENT, "device_samples": [GOOD | {"device": "計算機-é"}]}, ensure_ascii=False)
        assert verdict(raw.encode()) == verdict(body(GOOD | {"device": "計算機-é"}))


numbers = st.one_of(
    st.floats(), st.integers(), st.just(10**40), st.booleans(), st.text(max_size=3), st.none(), st.lists(st.none())
)
texts = st.one_of(st.text(max_size=130), st.sampled_from(["agent", "meter", "measured", "h"]), st.none(), st.integers())
instants = st.one_of(
    st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat),
    st.datetimes(LATEST.replace(tzinfo=None) - timedelta(days=1), LATEST.replace(tzinfo=None)).map(
        lambda at: at.isoformat() + "+02:00"
    ),
    st.sampled_from([AT, "2026-11-20", "2026-11-20T12:00:00.123456789Z", "2026-11-20 12:00:00z", 5, None]),
)
FIELDS = {
    "device": texts,
    "measured_at": instants,
    "power_w": numbers,
    "energy_j": numbers,
    "utilization": numbers,
    "memory_used_bytes": numbers,
    "job": texts,
    "source": texts,
    "status": texts,
    "seq": numbers,
    "revision": numbers,
}
items = st.one_of(
    st.fixed_dictionaries({}, optional=FIELDS),
    st.sampled_from(sorted(FIELDS)).flatmap(lambda name: FIELDS[name].map(lambda value: GOOD | {name: value})),
)


class TestTheTwoWaysOfReading:
    @settings(max_examples=300, deadline=None)
    @given(item=items)
    def test_give_the_same_verdict_on_any_sample(self, item: dict[str, Any]) -> None:
        raw = json.dumps({"device_samples": [item]}, ensure_ascii=False).encode("utf-8", "surrogatepass")
        if b"\\" in raw or any(isinstance(value, str) and not value.isprintable() for value in item.values()):
            return  # escapes always go the slow way; nothing to compare
        at_once = validate._decode_clean(raw, LATEST)
        one_by_one, errors = validate._decode_item_by_item(raw, LATEST)
        assert (at_once is None) == bool(errors)
        if at_once is not None:
            assert at_once == one_by_one


class TestCheck:
    def test_holds_a_batch_made_in_python_to_the_same_rules(self) -> None:
        good, bad = wire.DeviceSample("gpu-0", AT, power_w=1.0), wire.DeviceSample("gpu-0", "noon", power_w=1.0)
        batch, errors = check(wire.TelemetryBatch(device_samples=[bad, good]), latest=LATEST)
        assert [(e.index, e.code) for e in errors] == [(0, "bad_time")]
        assert len(batch.device_samples) == 1

    def test_reads_every_field_that_the_wire_has(self) -> None:
        """The agent's own encoder, with everything set, loses nothing."""
        full = wire.TelemetryBatch(
            agent=wire.AgentInfo("a", "h", "b", "1.0", AT, 3, {"rapl": "ok"}),
            devices=[wire.DeviceInfo("gpu-0", "gpu", "H100", 700.0, 1 << 36, "h", 2, True)],
            jobs=[wire.JobInfo("j", "n", "training", "m", "vision", "p", AT, AT)],
            job_marks=[wire.JobMark("j", AT, AT, "gpu-0", "h", "vision")],
            device_samples=[
                wire.DeviceSample("gpu-0", AT, 1.0, 2.0, 0.5, 3, "j", "h", "dcgm", "modelled", seq=4, revision=5)
            ],
            device_uses=[wire.DeviceUse("gpu-0", "j", AT, 0.5, "3g.40gb", 0.4, "h")],
            energy_spans=[
                wire.EnergySpan("gpu-0", "2026-11-20T11:00:00Z", AT, 1.0, "j", "h", "slurm", "modelled", "r", 9)
            ],
            facility_samples=[wire.FacilitySample("paris", AT, 1.2, 3.0, 0.4, 5.0, 60.0, seq=7, revision=8)],
        )
        batch, errors = check(full, latest=LATEST)
        assert errors == []
        for name in LISTS:
            sent, read = getattr(full, name)[0], getattr(batch, name)[0]
            for field in type(sent).__slots__:
                value = getattr(read, field)
                value = value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value
                assert getattr(sent, field) == value, field
