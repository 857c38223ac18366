"""What a page or the API costs does not grow with the number of raw readings: it reads the ledger and its roll-ups.

Every address that answers GET is asked, and its queries are looked at. A few may read raw readings, of one device in a
window that both its ends bound; none may read them otherwise.
"""

import re
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone

from accounting.models import DeviceSample, DeviceUse, EnergySpan, Job, JobMark, Restatement, Site
from tests.accounting.reports import rows

pytestmark = pytest.mark.django_db
RAW = re.compile("|".join(model._meta.db_table for model in (DeviceSample, DeviceUse, EnergySpan)))
ALLOWED = {  # why
    "home": "watts now: two minutes of each device in service",
    "home-live": "the same",
    "fleet": "the same",
    "device": "the same, of one device",
    "device-power": "the last hour of one device",
    "metrics": "watts now, and how many readings there are as the database's own books estimate it",
    "job-power": "the last hours of the devices that a job held",
    "api:audit": "the fingerprint of the readings behind the hours asked for, which is what an auditor checks",
}
WRITES = {"logout", "accounting-telemetry", "telemetry"}  # they take no GET
STRANGERS = {"admin", "jsi18n", "healthz", "readyz", "agent-archive", "agent-sha256"}  # no figures
BOUNDED = (  # of one device from and until; or the spans of some devices that reach into a window
    re.compile(r'"?device_id"? = .*"?measured_at_us"? >= .*"?measured_at_us"? < '),
    re.compile(r'(?=.*"?device_id"? (=|IN) )(?=.*"?ended_at_us"? > )(?=.*"?started_at_us"? < )(?!.*measured_at_us)'),
    re.compile(r"FROM pg_class|max\(rowid\)"),  # an estimate, and the end of an index: no row is read
)


def is_bounded(sql: str) -> bool:
    return any(shape.search(sql) for shape in BOUNDED)


def names(patterns: list[URLPattern | URLResolver], space: str = "") -> Iterator[tuple[str, dict[str, object]]]:
    """The name of every address, and what must be filled in."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            if pattern.namespace != "admin":
                yield from names(pattern.url_patterns, f"{pattern.namespace}:" if pattern.namespace else space)
        elif pattern.name:
            yield space + pattern.name, pattern.pattern.converters


@pytest.fixture
def known() -> dict[str, int]:
    """A device with a year of readings and hours of a job on it; its numbers by the names that addresses use."""
    now = timezone.now().replace(minute=0, second=0, microsecond=0)
    team = rows.a_team()
    device = rows.a_device(site=Site.objects.create(name="Lyon", slug="lyon"), team=team)
    job = Job.objects.create(key="train", team=team, started_at=now - timedelta(days=2))
    from_us = round((now - timedelta(days=2)).timestamp() * 1e6)
    JobMark.objects.create(job=job, device=device, started_at_us=from_us)
    for ago in (timedelta(0), timedelta(hours=1), timedelta(days=40), timedelta(days=300)):
        rows.sample(device, now - ago, 300.0, job=job)
        rows.ledger_hour(device, now - ago, job=job)
    restatement = Restatement.objects.create(at=now, actor="a", reason="r", cause="factor", state="done")
    return {"device_id": device.pk, "host_id": device.host_id, "site_id": device.host.site_id, "team_id": team.pk,
            "job_id": job.pk, "restatement_id": restatement.pk, "what": "prices"}  # fmt: skip


answered: Counter[int] = Counter()  # by status


def raw_reads(client: Client, address: str) -> list[str]:
    with CaptureQueriesContext(
        connection,
    ) as queries:
        answer = client.get(address)
    assert answer.status_code < 500, address
    answered[answer.status_code] += 1
    return [query["sql"] for query in queries if RAW.search(query["sql"])]


class TestReads:
    def test_touch_raw_readings_nowhere_but_where_it_says_why(self, client: Client, known: dict[str, int]) -> None:
        client.force_login(rows.an_administrator())
        asked, left, reads = 0, set(), {}
        for name, wanted in names(get_resolver().url_patterns):
            given = {key: known[key] for key in wanted if key in known}
            try:
                address = reverse(name, kwargs=given)
            except NoReverseMatch:
                left.add(name)  # of a row that this test has none of
                continue
            if name in WRITES or name in STRANGERS:
                continue
            for query in ("", "?period=1y", "?period=30d&by=device&show=cost&csv=1"):
                asked += 1
                if found := raw_reads(client, address + query):
                    reads.setdefault(name, []).extend(found)
        assert asked > 100 and answered[200] > 60, answered
        assert set(reads) - set(ALLOWED) == set(), "these read raw readings"
        for name, found in reads.items():
            for sql in found:
                assert is_bounded(sql), f"{name} reads raw readings without an end: {sql}"
        pages_of_figures = {"home", "home-trend", "trend", "split-csv", "teams", "team", "jobs", "job", "site"}
        assert not left & (pages_of_figures | set(ALLOWED)), left

    def test_of_the_footprint_api_stay_in_the_roll_ups(self, client: Client, known: dict[str, int]) -> None:
        client.force_login(rows.an_administrator())
        for query in ("", "?group_by=device", f"?device_id={known['device_id']}", "?granularity=day"):
            assert raw_reads(client, f"/api/v1/footprint{query}") == []

    def test_would_find_a_read_without_an_end(self, client: Client, known: dict[str, int]) -> None:
        with CaptureQueriesContext(connection) as queries:
            list(DeviceSample.objects.filter(device=known["device_id"]).values_list("power_w"))
            list(EnergySpan.objects.filter(device=known["device_id"], ended_at_us__gt=0))
        assert [(bool(RAW.search(one["sql"])), is_bounded(one["sql"])) for one in queries] == [(True, False)] * 2

    def test_of_an_audit_are_of_the_hours_asked_for(self, client: Client, known: dict[str, int]) -> None:
        client.force_login(rows.an_administrator())
        now = timezone.now().replace(minute=0, second=0, microsecond=0)
        span = f"from={(now - timedelta(hours=3)):%Y-%m-%dT%H:%MZ}&to={(now + timedelta(hours=1)):%Y-%m-%dT%H:%MZ}"
        found = raw_reads(client, f"/api/v1/audit?{span}&device_id={known['device_id']}")
        assert found and all(map(is_bounded, found))
