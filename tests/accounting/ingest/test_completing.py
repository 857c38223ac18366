"""A reading that comes in parts: power now, energy a request later, the job label with either."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounting.access import issue_token
from accounting.agent.wire import DeviceSample, TelemetryBatch, TelemetryReply
from accounting.ingest.readings import Reading, Row
from accounting.ingest.store import store
from accounting.models import ApiToken, DirtyHour, SampleConflict, Site
from accounting.models import DeviceSample as StoredSample

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
AT = (NOON - timedelta(minutes=30)).isoformat()
POWER = DeviceSample("gpu-0", AT, power_w=300.0, host="node-1")
ENERGY = DeviceSample("gpu-0", AT, energy_j=9e6, host="node-1")
TOLD = ("power_w", "energy_j", "utilization", "memory_used_bytes", "job__key", "measured")


def post(token: ApiToken, *samples: DeviceSample) -> TelemetryReply:
    return store(TelemetryBatch(device_samples=list(samples)), token=token, now=NOON)


def counts(reply: TelemetryReply) -> tuple[int, int, int]:
    return reply.accepted, reply.duplicates, reply.conflicts


def stored() -> tuple[object, ...]:
    return StoredSample.objects.values_list(*TOLD).get()


class TestCompleting:
    def test_fills_in_what_was_left_out_and_counts_as_accepted(self, site_token: ApiToken) -> None:
        assert counts(post(site_token, POWER)) == (1, 0, 0)
        DirtyHour.objects.all().delete()
        assert counts(post(site_token, replace(ENERGY, job="train", utilization=0.5))) == (1, 0, 0)
        assert stored() == (300.0, 9e6, 0.5, None, "train", True)
        assert DirtyHour.objects.exists()  # the ledger has to know

    def test_counts_what_adds_nothing_as_a_duplicate(self, site_token: ApiToken) -> None:
        post(site_token, replace(POWER, energy_j=9e6))
        DirtyHour.objects.all().delete()
        assert counts(post(site_token, POWER, ENERGY)) == (0, 2, 0)
        assert stored()[:2] == (300.0, 9e6) and not DirtyHour.objects.exists()

    def test_merges_the_parts_within_one_batch(self, site_token: ApiToken) -> None:
        assert counts(post(site_token, POWER, ENERGY, replace(POWER, memory_used_bytes=7))) == (3, 0, 0)
        assert stored() == (300.0, 9e6, None, 7, None, True)

    @pytest.mark.parametrize(
        "changes", [{"power_w": 301.0}, {"job": "other"}, {"status": "modelled"}, {"utilization": 0.0}]
    )
    def test_takes_nothing_of_a_part_that_tells_one_field_otherwise(self, site_token: ApiToken, changes: dict) -> None:
        whole = replace(POWER, job="train", utilization=0.5)
        post(site_token, whole)
        before = stored()
        assert counts(post(site_token, replace(whole, energy_j=9e6, **changes))) == (0, 0, 1)
        assert stored() == before and SampleConflict.objects.count() == 1

    def test_of_a_correction_starts_from_the_correction(self, site_token: ApiToken) -> None:
        post(site_token, replace(POWER, utilization=0.5))
        assert counts(post(site_token, replace(ENERGY, revision=1))) == (1, 0, 0)
        assert stored()[:3] == (None, 9e6, None)  # a correction replaces the whole reading
        assert counts(post(site_token, POWER)) == (0, 1, 0)  # of the revision before: superseded
        assert counts(post(site_token, replace(POWER, revision=1))) == (1, 0, 0)
        assert stored()[:3] == (300.0, 9e6, None)

    def test_costs_two_queries_more_for_one_part_or_for_many(self, site_token: ApiToken, connection_queries) -> None:
        def parts(minutes: range, part: DeviceSample) -> list[DeviceSample]:
            return [replace(part, measured_at=(NOON - timedelta(minutes=m)).isoformat()) for m in minutes]

        post(site_token, *parts(range(1, 50), POWER), *parts(range(60, 62), POWER), *parts(range(90, 91), POWER))
        few = connection_queries(lambda: post(site_token, *parts(range(60, 62), ENERGY)))
        many = connection_queries(lambda: post(site_token, *parts(range(1, 50), ENERGY)))
        assert many == few
        assert StoredSample.objects.filter(power_w=300.0, energy_j=9e6).count() == 51  # all but the one at 90

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.data())
    def test_in_any_order_split_and_repeated_leaves_the_same_row(self, db: None, data: st.DataObject) -> None:
        whole = {"power_w": 300.0, "energy_j": 9e6, "utilization": 0.5, "memory_used_bytes": 7, "job": "train"}
        names = st.sets(st.sampled_from(sorted(whole)), min_size=1)
        chosen = data.draw(st.lists(names.filter(lambda some: some & {"power_w", "energy_j"}), min_size=1, max_size=5))
        parts = [DeviceSample("gpu-0", AT, host="node-1", **{n: whole[n] for n in some}) for some in chosen]
        rows = []
        for order in (parts, data.draw(st.permutations(parts + parts[:2]))):
            slug = f"s{Site.objects.count()}"
            token, _ = issue_token(name="t", scopes=["ingest"], site=Site.objects.create(name=slug, slug=slug))
            cut = data.draw(st.integers(0, len(order)))
            replies = [post(token, *some) for some in (order[:cut], order[cut:]) if some]
            assert sum(reply.conflicts + reply.rejected for reply in replies) == 0
            rows.append(StoredSample.objects.filter(device__host__site=token.site).values_list(*TOLD).get())
        told = set().union(*chosen)
        expected = [whole[name] if name in told else None for name in (*TOLD[:4], "job")]
        assert rows[0] == rows[1] == (*expected, True)


_maybe = st.one_of(st.none(), st.just(1.0), st.just(2.0))
_rows = st.builds(
    lambda *told: Row(Reading(*told, True), 0, 1),
    _maybe,
    _maybe,
    _maybe,
    st.sampled_from([None, 1]),
    st.sampled_from([None, 2]),
)


class TestReading:
    @given(_rows, _rows)
    def test_agrees_both_ways_and_adds_up_both_ways(self, a: Row, b: Row) -> None:
        assert a.reading.agrees(b.reading) == b.reading.agrees(a.reading)
        if a.reading.agrees(b.reading):
            assert a.completed(b).reading == b.completed(a).reading
            assert a.completed(b).completed(b) == a.completed(b)

    def test_brings_its_boot_along_with_its_counter(self) -> None:
        """A counter is compared within one boot: it must not come to stand under another poster's."""
        power, energy = (
            Row(Reading(1.0, None, None, None, None, True), 0, 11),
            Row(Reading(None, 5.0, None, None, None, True), 0, 22),
        )
        assert power.completed(energy).epoch == energy.completed(power).epoch == 22

    def test_keeps_numbers_exactly_when_it_is_completed(self, site_token: ApiToken) -> None:
        exact = replace(POWER, power_w=0.1 + 0.2, utilization=1 / 3, memory_used_bytes=2**60)
        post(site_token, exact)
        post(site_token, replace(ENERGY, energy_j=1e15 / 3))
        assert stored()[:4] == (0.1 + 0.2, 1e15 / 3, 1 / 3, 2**60), connection.vendor
