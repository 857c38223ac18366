"""Spans of energy through the ingest: kept once, corrected by revision, set aside where they share time."""

from datetime import datetime

import pytest

from accounting.agent import wire
from accounting.agent.wire import AgentInfo, EnergySpan, TelemetryBatch, TelemetryReply
from accounting.ingest.store import speaker, store
from accounting.ingest.validate import LONGEST_SPAN, check, parse
from accounting.models import ApiToken, FileImport, SampleConflict, Team
from accounting.models import EnergySpan as StoredSpan

AGENT = AgentInfo("a", "node-1", "boot")
pytestmark = pytest.mark.django_db


def span(start: str, end: str, energy_j: float | None = 5.0, **fields) -> EnergySpan:
    return EnergySpan("gpu", f"2026-11-20T{start}:00Z", f"2026-11-20T{end}:00Z", energy_j, **fields)


def posted(token: ApiToken, now: datetime, *spans: EnergySpan, **more) -> TelemetryReply:
    return store(TelemetryBatch(agent=AGENT, energy_spans=list(spans)), token=token, now=now, **more)


class TestSpans:
    def test_sent_again_are_duplicates_in_one_batch_or_two(self, site_token: ApiToken, now: datetime) -> None:
        assert posted(site_token, now, span("08:00", "08:10"), span("08:00", "08:10")).duplicates == 1
        assert posted(site_token, now, span("08:00", "08:10")).duplicates == 1
        assert StoredSpan.objects.count() == 1

    def test_with_other_values_are_conflicts_that_are_kept_aside(self, site_token: ApiToken, now: datetime) -> None:
        posted(site_token, now, span("08:00", "08:10"))
        assert posted(site_token, now, span("08:00", "08:10", 6.0)).conflicts == 1
        assert SampleConflict.objects.get().offered["energy_j"] == 6.0
        assert StoredSpan.objects.get().energy_j == 5.0

    def test_of_one_run_may_touch_but_not_share_time(self, site_token: ApiToken, now: datetime) -> None:
        assert posted(site_token, now, span("08:00", "08:10"), span("08:10", "08:20")).accepted == 2
        assert posted(site_token, now, span("08:05", "08:15")).conflicts == 1
        assert posted(site_token, now, span("08:05", "08:15", run="another")).accepted == 1

    def test_may_not_share_time_with_a_long_one(self, site_token: ApiToken, now: datetime) -> None:
        posted(site_token, now, span("01:00", "09:00"))
        assert posted(site_token, now, span("08:00", "08:10")).conflicts == 1

    def test_with_a_higher_revision_correct_what_is_stored(self, site_token: ApiToken, now: datetime) -> None:
        posted(site_token, now, span("08:00", "08:10"))
        assert posted(site_token, now, span("08:05", "08:10", 7.0, revision=1)).accepted == 1
        assert posted(site_token, now, span("08:00", "08:10")).duplicates == 1
        stored = StoredSpan.objects.get()
        assert (stored.energy_j, stored.ended_at_us - stored.started_at_us) == (7.0, 300_000_000)

    def test_of_a_file_name_the_import_and_need_no_token(self, team: Team, now: datetime) -> None:
        brought = FileImport.objects.create(kind="slurm", team=team, file_name="a", sha256="0", imported_at=now)
        reply = posted(speaker(team=team), now, span("08:00", "08:10", job="42"), import_id=brought.pk)
        assert reply.accepted == 1
        stored = StoredSpan.objects.select_related("job", "device__host").get()
        assert (stored.file_import_id, stored.job.team, stored.device.host.team) == (brought.pk, team, team)


class TestASpanIsRefused:
    @pytest.mark.parametrize(("start", "end"), [("08:10", "08:10"), ("08:10", "08:00")])
    def test_where_it_takes_no_time(self, start: str, end: str, now: datetime) -> None:
        _, errors = check(TelemetryBatch(agent=AGENT, energy_spans=[span(start, end)]), latest=now)
        assert [(e.field, e.code) for e in errors] == [("ended_at", "bad_time")]

    def test_where_it_is_longer_than_the_ledger_looks_back(self, now: datetime) -> None:
        long = EnergySpan("gpu", "2024-01-01T00:00:00Z", "2026-01-01T00:00:00Z", 1.0)
        _, errors = check(TelemetryBatch(agent=AGENT, energy_spans=[long]), latest=now)
        assert "366 days at most" in errors[0].detail
        assert round(LONGEST_SPAN.total_seconds() * 1e6) == StoredSpan.LONGEST_US

    def test_where_it_ends_in_the_future(self, now: datetime) -> None:
        late = EnergySpan("gpu", "2026-11-20T11:00:00Z", "2026-11-20T13:00:00Z", 1.0)
        _, errors = check(TelemetryBatch(agent=AGENT, energy_spans=[late]), latest=now)
        assert errors[0].code == "in_future"

    def test_where_a_flag_of_its_device_is_no_flag(self, now: datetime) -> None:
        body = b'{"agent":{"id":"a","host":"h","boot_id":"b"},"devices":[{"device":"d","kind":"gpu","total":1}]}'
        assert parse(body, latest=now)[1][0].detail == "1 is neither true nor false"
        assert wire.DeviceInfo("d", "gpu").total is False
