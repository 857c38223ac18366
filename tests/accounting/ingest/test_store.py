"""What becomes of a batch: counted once, in any order, by whom, and nothing lost."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounting.access import issue_token
from accounting.agent.wire import AgentInfo, DeviceInfo, DeviceSample, FacilitySample, TelemetryBatch, TelemetryReply
from accounting.ingest.store import store
from accounting.models import (
    Agent,
    AgentStream,
    ApiToken,
    Device,
    DirtyHour,
    Host,
    SampleConflict,
    Site,
    Team,
)
from accounting.models import DeviceSample as StoredSample
from accounting.models import FacilitySample as StoredFacilitySample

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
AGENT = AgentInfo(id="agent", host="node-1", boot_id="boot-1")


def at(seconds: float) -> str:
    return (NOON - timedelta(hours=1) + timedelta(seconds=seconds)).isoformat()


def reading(second: int, *, device: str = "gpu-0", **changes: object) -> DeviceSample:
    sample = DeviceSample(device, at(second), power_w=100.0 + second, energy_j=10.0 * second, seq=second)
    return replace(sample, **changes)


def post(token: ApiToken, *samples: DeviceSample, agent: AgentInfo | None = AGENT, **more: object) -> TelemetryReply:
    return store(TelemetryBatch(agent=agent, device_samples=list(samples), **more), token=token, now=NOON)


def counts(reply: TelemetryReply) -> tuple[int, int, int, int]:
    return reply.accepted, reply.duplicates, reply.conflicts, reply.rejected


def stored() -> list[tuple[object, ...]]:
    rows = StoredSample.objects.order_by("device__host", "device__key", "measured_at_us", "source")
    return list(
        rows.values_list(
            "device__key", "measured_at_us", "source", "power_w", "energy_j", "utilization", "memory_used_bytes",
            "job__key", "measured", "revision",
        )
    )  # fmt: skip


class TestStore:
    def test_keeps_every_value_exactly(self, site_token: ApiToken) -> None:
        sample = DeviceSample(
            "gpu-0", "2026-11-20T12:30:00.123457+01:00", 0.1, 1e15 / 3, 1 / 3, 2**60, "train-1", None, "dcgm",
            "modelled", 5, 2,
        )  # fmt: skip
        assert counts(post(site_token, sample)) == (1, 0, 0, 0)
        # 2026-11-20T11:30:00.123457Z is 20777 days and 41400.123457 s after 1970: 20777 * 86400 + 41400 = 1795174200 s
        assert stored() == [
            ("gpu-0", 1_795_174_200_123_457, 3, 0.1, 1e15 / 3, 1 / 3, 2**60, "train-1", False, 2),
        ]

    def test_keeps_what_was_not_measured_empty(self, site_token: ApiToken) -> None:
        post(site_token, DeviceSample("gpu-0", at(0), energy_j=0.0))
        row = StoredSample.objects.get()
        assert (row.power_w, row.energy_j, row.utilization, row.memory_used_bytes, row.job_id) == (
            None, 0.0, None, None, None,
        )  # fmt: skip

    def test_needs_the_same_few_queries_for_one_sample_and_for_many(
        self, site_token: ApiToken, connection_queries
    ) -> None:
        post(site_token, reading(0))
        few = connection_queries(lambda: post(site_token, reading(1)))
        many = connection_queries(lambda: post(site_token, *(reading(s) for s in range(2, 400))))
        assert many == few <= 16

    def test_registers_host_device_and_agent_when_first_heard_of(self, site_token: ApiToken, site: Site) -> None:
        agent = replace(AGENT, version="0.1", sent_at=(NOON + timedelta(seconds=3)).isoformat(), dropped=7)
        post(site_token, reading(0), reading(0, device="psu", host="rack-9", seq=1), agent=agent)
        assert set(Host.objects.values_list("name", "site", "team")) == {
            ("node-1", site.pk, None), ("rack-9", site.pk, None),
        }  # fmt: skip
        device = Device.objects.get(key="gpu-0")
        assert (device.kind, device.acquired_at) == ("other", NOON - timedelta(hours=1))
        row = Agent.objects.get()
        assert (row.host.name, row.version, row.boot_id, row.clock_offset_s, row.dropped_total) == (
            "node-1", "0.1", "boot-1", 3.0, 7,
        )  # fmt: skip

    def test_updates_a_description_and_keeps_what_a_post_leaves_out(self, site_token: ApiToken) -> None:
        post(site_token, reading(0))
        post(site_token, devices=[DeviceInfo("gpu-0", "gpu", "H100", tdp_w=700.0, memory_bytes=1 << 36)])
        post(site_token, devices=[DeviceInfo("gpu-0", "gpu")])
        device = Device.objects.get()
        assert (device.kind, device.model, device.tdp_w, device.memory_bytes) == ("gpu", "H100", 700.0, 1 << 36)

    def test_dates_a_device_back_to_its_earliest_reading(self, site_token: ApiToken) -> None:
        post(site_token, reading(600))
        post(site_token, reading(5))
        post(site_token, reading(900))
        assert Device.objects.get().acquired_at == datetime.fromisoformat(at(5))

    def test_rejects_samples_that_name_no_host(self, site_token: ApiToken) -> None:
        reply = post(site_token, reading(0), reading(1, host="node-7"), agent=None)
        assert counts(reply) == (1, 0, 0, 1)
        assert [(e.index, e.field, e.code) for e in reply.errors] == [(0, "host", "missing")]

    def test_counts_positions_in_the_message_as_it_was_sent(self, team_token: ApiToken) -> None:
        from accounting.ingest.validate import check

        facility = [FacilitySample("paris", at(0), pue=0.5), FacilitySample("paris", at(1), pue=1.5)]
        batch, errors = check(TelemetryBatch(facility_samples=facility), latest=NOON)
        reply = store(batch, token=team_token, now=NOON, errors=errors)
        assert [(e.index, e.code) for e in reply.errors] == [(0, "out_of_range"), (1, "not_permitted")]

    def test_stores_nothing_of_a_batch_that_fails_halfway(self, site_token: ApiToken, monkeypatch) -> None:
        def fail(*_: object, **__: object) -> None:
            raise RuntimeError("the power went")

        monkeypatch.setattr("accounting.models.ledger.DirtyHours.mark", fail)
        with pytest.raises(RuntimeError):
            post(site_token, reading(0))
        assert not StoredSample.objects.exists()
        assert not AgentStream.objects.exists()


class TestDuplicates:
    def test_count_once_across_batches_and_within_one(self, site_token: ApiToken) -> None:
        assert counts(post(site_token, reading(0), reading(1), reading(0))) == (2, 1, 0, 0)
        assert counts(post(site_token, reading(1), reading(2))) == (1, 1, 0, 0)
        assert len(stored()) == 3

    def test_are_told_by_their_key_alone_where_a_poster_has_no_numbers(self, site_token: ApiToken) -> None:
        sample = reading(0, seq=None, host="node-1")
        assert counts(post(site_token, sample, agent=None)) == (1, 0, 0, 0)
        assert counts(post(site_token, sample, agent=None)) == (0, 1, 0, 0)

    def test_leave_the_ledger_alone(self, site_token: ApiToken) -> None:
        post(site_token, reading(0), reading(1))
        DirtyHour.objects.all().delete()
        post(site_token, reading(0), reading(1))
        assert not DirtyHour.objects.exists()

    @settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(seed=st.integers(0, 2**32))
    def test_in_any_order_split_and_repeated_leave_the_same_rows(self, site: Site, seed: int) -> None:
        dice = random.Random(seed)
        trace = [reading(s, device=d, seq=2 * s + (d == "gpu-1")) for s in range(40) for d in ("gpu-0", "gpu-1")]
        outcomes = []
        for name in ("once", "often"):
            token, _ = issue_token(
                name="t",
                scopes=["ingest"],
                site=Site.objects.create(name=f"{name}{dice.random()}", slug=f"{name}{dice.getrandbits(60)}"),
            )
            deliveries = [trace]
            if name == "often":
                deliveries = [dice.sample(trace, dice.randint(1, 80)) for _ in range(6)] + [
                    dice.choices(trace, k=30),
                    trace,
                ]
            accepted = sum(post(token, *samples).accepted for samples in deliveries)
            assert accepted == 80
            outcomes.append(stored())
            assert AgentStream.objects.get().taken == [[0, 79]]
            StoredSample.objects.all().delete()
            AgentStream.objects.all().delete()
        assert outcomes[0] == outcomes[1]


class TestConflicts:
    def test_are_set_aside_and_not_counted(self, site_token: ApiToken) -> None:
        post(site_token, reading(0))
        assert counts(post(site_token, reading(0, power_w=9000.0))) == (0, 0, 1, 0)
        assert StoredSample.objects.get().power_w == 100.0
        conflict = SampleConflict.objects.get()
        assert (conflict.stored["power_w"], conflict.offered["power_w"]) == (100.0, 9000.0)

    def test_are_shown_once_however_often_they_are_sent(self, site_token: ApiToken) -> None:
        post(site_token, reading(0))
        for _ in range(3):
            assert counts(post(site_token, reading(0, power_w=9000.0))) == (0, 0, 1, 0)
        assert SampleConflict.objects.count() == 1

    def test_within_one_batch_leave_the_first(self, site_token: ApiToken) -> None:
        assert counts(post(site_token, reading(0, seq=1), reading(0, seq=2, power_w=5.0))) == (1, 0, 1, 0)
        assert StoredSample.objects.get().power_w == 100.0

    def test_include_a_number_that_comes_back_for_another_moment(self, site_token: ApiToken) -> None:
        post(site_token, reading(0, seq=7))
        assert counts(post(site_token, reading(30, seq=7))) == (0, 0, 1, 0)
        assert counts(post(site_token, reading(40, seq=8), reading(50, seq=8))) == (1, 0, 1, 0)
        assert SampleConflict.objects.order_by("pk").last().stored == {"seq": 8}

    def test_do_not_arise_between_boots_that_count_from_zero(self, site_token: ApiToken) -> None:
        post(site_token, reading(0, seq=0))
        assert counts(post(site_token, reading(30, seq=0), agent=replace(AGENT, boot_id="boot-2"))) == (1, 0, 0, 0)
        assert len({row.epoch for row in StoredSample.objects.all()}) == 2


class TestRevisions:
    def test_replace_what_is_stored_when_higher(self, site_token: ApiToken) -> None:
        post(site_token, reading(0))
        DirtyHour.objects.all().delete()
        assert counts(post(site_token, reading(0, power_w=90.0, revision=1))) == (1, 0, 0, 0)
        assert StoredSample.objects.get().power_w == 90.0
        assert DirtyHour.objects.exists()

    def test_are_superseded_when_lower(self, site_token: ApiToken) -> None:
        post(site_token, reading(0, power_w=90.0, revision=2))
        assert counts(post(site_token, reading(0, power_w=80.0, revision=1))) == (0, 1, 0, 0)
        assert StoredSample.objects.get().power_w == 90.0

    def test_settle_within_one_batch_on_the_highest(self, site_token: ApiToken) -> None:
        samples = [reading(0, seq=n, revision=n, power_w=float(n)) for n in (1, 3, 2)]
        assert counts(post(site_token, *samples)) == (1, 2, 0, 0)
        assert StoredSample.objects.get().power_w == 3.0


class TestWhoMayPostWhat:
    def test_gives_each_token_hosts_of_its_own(self, site_token: ApiToken, team_token: ApiToken, team: Team) -> None:
        other = Team.objects.create(name="Speech", slug="speech")
        other_token, _ = issue_token(name="o", scopes=["ingest"], team=other)
        for token in (site_token, team_token, other_token):
            assert counts(post(token, reading(0), reading(1, power_w=float(token.pk)))) == (2, 0, 0, 0)
        assert Host.objects.filter(name="node-1").count() == 3
        assert StoredSample.objects.filter(device__host__team=team).count() == 2

    def test_takes_facility_samples_from_their_site_only(
        self, site_token: ApiToken, team_token: ApiToken, site: Site
    ) -> None:
        Site.objects.create(name="Oslo", slug="oslo")
        samples = [FacilitySample(slug, at(0), pue=1.3) for slug in ("paris", "oslo", "atlantis")]
        by_site = post(site_token, facility_samples=samples)
        assert counts(by_site) == (1, 0, 0, 2)
        assert [(e.index, e.field, e.code) for e in by_site.errors] == [
            (1, "site", "not_permitted"), (2, "site", "unknown_site"),
        ]  # fmt: skip
        by_team = post(team_token, facility_samples=samples)
        assert {e.code for e in by_team.errors} == {"not_permitted"}
        assert StoredFacilitySample.objects.get().site == site


class TestFacilitySamples:
    def test_follow_the_same_rules(self, site_token: ApiToken) -> None:
        first = FacilitySample("paris", at(0), pue=1.3, wue_l_per_kwh=0.4, seq=1)
        sent = [
            first,
            first,
            replace(first, pue=1.4),
            replace(first, pue=1.5, revision=1),
            replace(first, measured_at=at(9)),
        ]
        assert counts(post(site_token, facility_samples=[first])) == (1, 0, 0, 0)
        assert [counts(post(site_token, facility_samples=[each])) for each in sent[1:]] == [
            (0, 1, 0, 0), (0, 0, 1, 0), (1, 0, 0, 0), (0, 0, 1, 0),
        ]  # fmt: skip
        row = StoredFacilitySample.objects.get()
        assert (row.pue, row.wue_l_per_kwh, row.revision) == (1.5, 0.4, 1)
        assert SampleConflict.objects.filter(site__slug="paris").count() == 2
