"""What is happening now."""

from datetime import timedelta

import pytest

from accounting.methods.records import Status
from accounting.models import Agent, DirtyHour, FacilitySample, Job, JobMark, Site, SiteTerms
from accounting.reports.live import live, running_jobs, visible_devices
from accounting.reports.rates import carbon_rate
from tests.accounting.reports import rows
from tests.accounting.reports.rows import HOUR, NINE, NOW, everything, sample, sees

pytestmark = pytest.mark.django_db
SECOND = timedelta(seconds=1)


def view(visibility: object | None = None) -> object:
    return live(visibility or everything(), now=NOW, silent_after_s=600.0)


class TestLive:
    def test_takes_the_newest_reading_of_each_device(self) -> None:
        one, two = rows.a_device(), rows.a_device("gpu-1")
        sample(one, NOW - 30 * SECOND, 50.0)
        sample(one, NOW - 5 * SECOND, 70.0)
        sample(two, NOW - 60 * SECOND, 200.0, measured=False)
        seen = view()
        assert [(d.name, d.power_w) for d in seen.devices] == [("gpu-1", 200.0), ("gpu-0", 70.0)]
        assert (seen.power_w, seen.reporting, seen.in_service) == (270.0, 2, 2)
        assert seen.status is Status.MODELLED

    def test_does_not_count_a_reading_older_than_two_minutes(self) -> None:
        sample(rows.a_device(), NOW - 121 * SECOND)
        seen = view()
        assert (seen.power_w, seen.reporting, seen.in_service, seen.status) == (None, 0, 1, None)

    def test_counts_one_source_a_device_the_best(self) -> None:
        device = rows.a_device()
        sample(device, NOW - SECOND, 90.0, source=4)
        sample(device, NOW - 10 * SECOND, 100.0, source=2)
        assert view().power_w == 100.0

    def test_reads_power_off_a_counter_where_only_that_is_sent(self) -> None:
        device = rows.a_device()
        sample(device, NOW - 12 * SECOND, None, energy_j=1000.0)
        sample(device, NOW - 2 * SECOND, None, energy_j=2500.0)
        assert view().power_w == pytest.approx(150.0)  # 1500 J / 10 s

    def test_knows_no_power_from_a_counter_that_started_again(self) -> None:
        device = rows.a_device()
        sample(device, NOW - 12 * SECOND, None, energy_j=1000.0)
        sample(device, NOW - 2 * SECOND, None, energy_j=20.0, epoch=2)
        seen = view()
        assert (seen.power_w, seen.reporting) == (None, 1)

    def test_counts_the_parts_of_a_host_under_its_whole_node(self) -> None:
        node, part = rows.a_device("psu", kind="node"), rows.a_device("gpu-0")
        sample(node, NOW - SECOND, 500.0)
        sample(part, NOW - SECOND, 300.0)
        seen = view()
        assert (seen.power_w, seen.reporting) == (500.0, 2)

    def test_leaves_retired_devices_out(self) -> None:
        sample(rows.a_device(retired_at=NINE), NOW)
        assert view().in_service == 0

    def test_weighs_the_grids_of_several_sites_by_their_power_at_the_wall(self) -> None:
        for name, watts, pue, told in (("North", 100.0, 1.5, 30.0), ("South", 300.0, 1.1, 400.0)):
            site = Site.objects.create(name=name, slug=name.lower())
            SiteTerms.objects.create(site=site, valid_from=NOW - 9 * HOUR, pue=pue)
            FacilitySample.objects.create(
                site=site, measured_at_us=round((NOW - HOUR).timestamp() * 1e6), grid_intensity_g_per_kwh=told,
                received_at_us=0,
            )  # fmt: skip
            sample(rows.a_device(f"gpu-{name}", host=name, site=site), NOW - SECOND, watts)
        wall = view().wall
        rates = [carbon_rate(site, now=NOW).intensity_g_per_kwh.mid for site in Site.objects.order_by("name")]
        # 100 x 1.5 + 300 x 1.1 = 480 W over 400 W
        assert (wall.power_w, wall.pue) == pytest.approx((480.0, 1.2))
        assert wall.intensity_g_per_kwh == pytest.approx((150.0 * rates[0] + 330.0 * rates[1]) / 480.0)
        assert rates[0] < rates[1]

    def test_knows_nothing_of_the_wall_while_nothing_draws(self) -> None:
        sample(rows.a_device(), NOW - SECOND, 0.0)
        assert view().wall is None

    def test_costs_the_same_for_many_devices(self, django_assert_num_queries) -> None:
        for number in range(6):
            sample(rows.a_device(f"gpu-{number}"), NOW - SECOND)
        with django_assert_num_queries(6):  # one of them asks for what tools told as spans
            view()

    def test_names_agents_that_went_silent_and_the_ledgers_lag(self) -> None:
        device = rows.a_device()
        for key, ago in (("well", 60), ("silent", 700), ("long gone", 40 * 86_400)):
            Agent.objects.create(key=key, host=device.host, first_seen_at=NINE, last_seen_at=NOW - ago * SECOND)
        DirtyHour.objects.mark([(device.pk, NINE)], now=NOW - 40 * SECOND)
        seen = view()
        assert [agent.key for agent in seen.silent] == ["silent"]
        assert seen.ledger.lag_s == pytest.approx(40.0)


class TestVisibleDevices:
    def test_are_the_teams_own_and_those_its_jobs_hold_now(self) -> None:
        team = rows.a_team()
        own, held, released, other = (rows.a_device(team=team), *(rows.a_device(f"gpu-{n}") for n in (1, 2, 3)))
        job = Job.objects.create(team=team, key="a")
        JobMark.objects.create(job=job, device=held, started_at_us=1)
        JobMark.objects.create(job=job, device=released, started_at_us=1, ended_at_us=2)
        assert set(visible_devices(sees({team.pk}))) == {own, held}
        assert set(visible_devices(everything())) == {own, held, released, other}


class TestRunningJobs:
    def test_hold_a_device_or_drew_energy_lately(self) -> None:
        device, team = rows.a_device(), rows.a_team()
        held, drew, stale, ended = (Job.objects.create(team=team, key=key) for key in "abcd")
        JobMark.objects.create(job=held, device=device, started_at_us=1)
        rows.ledger_hour(device, NINE - HOUR, job=drew)
        rows.ledger_hour(device, NINE - 9 * HOUR, job=stale)
        JobMark.objects.create(job=ended, device=device, started_at_us=2)
        Job.objects.filter(pk=ended.pk).update(ended_at=NOW)
        assert set(running_jobs(everything(), now=NOW)) == {held, drew}
        assert not running_jobs(sees({rows.a_team("Other").pk}), now=NOW)
