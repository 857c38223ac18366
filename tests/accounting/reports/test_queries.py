"""Sums of the ledger, against sums by hand."""

import pytest

from accounting.ledger.rollups import roll_up
from accounting.methods.records import Status
from accounting.models import Job, LedgerHour, Project, Site
from accounting.reports import queries
from accounting.reports.periods import Period, custom, preset
from tests.accounting.reports import rows
from tests.accounting.reports.rows import DAY, HOUR, NINE, NOW, everything, ledger_hour, sees

pytestmark = pytest.mark.django_db


def hours(count: int = 2) -> Period:
    return custom(NINE - (count - 1) * HOUR, NINE + HOUR, zone=NINE.tzinfo)


class TestTotals:
    def test_add_every_quantity_with_its_range(self) -> None:
        device = rows.a_device()
        ledger_hour(device, NINE - HOUR, kwh=1.0, missing_s=600.0, covered_s=3000.0)
        ledger_hour(device, NINE, kwh=3.0, measured=False, status="DEFAULT")

        found = queries.totals(everything(), hours().start, hours().end)

        # 4 kWh x 1.5 at the wall; 4 kWh x 300 g + 2 h x 10 g; low half, high double; 1 of 4 kWh measured
        assert found.it_energy_kwh.mid == pytest.approx(4.0)
        assert (found.facility_energy_kwh.low, found.facility_energy_kwh.mid) == (
            pytest.approx(3.0),
            pytest.approx(6.0),
        )
        assert (found.co2e_g.low, found.co2e_g.mid, found.co2e_g.high) == tuple(
            pytest.approx(x) for x in (610.0, 1220.0, 2440.0)
        )
        assert found.water_l.mid == pytest.approx(10.0)
        assert found.cost.mid == pytest.approx(1.0)
        assert found.pue == pytest.approx(1.5)
        assert found.measured_share == pytest.approx(0.25)
        assert found.coverage == pytest.approx(6600 / 7200)
        assert found.status is Status.DEFAULT

    def test_of_nothing_are_empty_and_not_measured(self, django_assert_num_queries) -> None:
        with django_assert_num_queries(1):
            found = queries.totals(everything(), NINE, NINE + HOUR)
        assert found.status is None and found.co2e_g.mid == 0.0
        assert (found.pue, found.measured_share, found.coverage) == (None, None, None)

    def test_are_the_same_from_hours_and_from_days(self) -> None:
        device = rows.a_device()
        for back in range(0, 5 * 24, 7):
            ledger_hour(device, NINE - back * HOUR, kwh=0.1 * (back + 1))
        by_day = preset("7d", now=NOW)

        from_days = queries.totals(everything(), by_day.start, by_day.end)
        from_device_days = queries.totals(everything(), by_day.start, by_day.end, device_id=device.pk)
        from_hours = queries.totals(everything(), by_day.start + HOUR, by_day.end)

        assert from_days.co2e_g.mid == pytest.approx(from_hours.co2e_g.mid, rel=1e-12)
        assert from_days.co2e_g.mid == pytest.approx(from_device_days.co2e_g.mid, rel=1e-12)
        assert from_days.it_energy_kwh.mid == pytest.approx(sum(0.1 * (b + 1) for b in range(0, 120, 7)))

    def test_refuse_a_filter_they_do_not_know(self) -> None:
        with pytest.raises(TypeError, match="colour"):
            queries.totals(everything(), NINE, NINE + HOUR, colour=1)


class TestVisibility:
    def test_hides_other_teams_and_what_no_team_answers_for(self) -> None:
        device, ours, theirs = rows.a_device(), rows.a_team("Ours"), rows.a_team("Theirs")
        ledger_hour(device, kwh=1.0, team=ours)
        ledger_hour(device, kwh=2.0, team=theirs)
        ledger_hour(device, kwh=4.0)

        def energy(visibility: object) -> float:
            return queries.totals(visibility, NINE, NINE + HOUR).it_energy_kwh.mid

        assert energy(sees({ours.pk})) == 1.0
        assert energy(sees({ours.pk}, unattributed=True)) == 5.0
        assert energy(sees(None, unattributed=False)) == 3.0
        assert energy(everything()) == 7.0
        assert energy(sees(set())) == 0.0

    def test_holds_for_splits_trends_and_single_devices(self) -> None:
        device, ours, theirs = rows.a_device(), rows.a_team("Ours"), rows.a_team("Theirs")
        ledger_hour(device, kwh=1.0, team=ours)
        ledger_hour(device, kwh=2.0, team=theirs)
        mine = sees({ours.pk})

        assert [part.name for part in queries.split(mine, NINE, NINE + HOUR, by="team")] == ["Ours"]
        assert [one.name for one in queries.trend(mine, hours(), by="team", metric="energy").series] == ["Ours"]
        assert queries.totals(mine, NINE, NINE + HOUR, device_id=device.pk).it_energy_kwh.mid == 1.0


class TestSplit:
    @pytest.mark.parametrize("by", queries.SPLITS)
    @pytest.mark.parametrize("key", ["24h", "7d"])
    def test_adds_up_to_the_totals_whichever_way(self, by: str, key: str) -> None:
        team, site = rows.a_team(), Site.objects.create(name="Lyon", slug="lyon")
        project = Project.objects.create(team=team, name="Ranker", slug="ranker")
        devices = [rows.a_device(site=site), rows.a_device("gpu-1", host="node-2")]
        ledger_hour(devices[0], NINE, kwh=1.0, team=team, project=project)
        ledger_hour(devices[1], NINE - HOUR, kwh=2.5, team=team)
        ledger_hour(devices[1], NINE - 2 * HOUR, kwh=0.25)
        period = preset(key, now=NOW)

        parts = queries.split(everything(), period.start, period.end, by=by)
        whole = queries.totals(everything(), period.start, period.end)

        assert sum(part.totals.co2e_g.mid for part in parts) == pytest.approx(whole.co2e_g.mid, rel=1e-12)
        assert len(parts) == 2
        assert parts == sorted(parts, key=lambda part: -part.totals.co2e_g.mid)

    def test_names_energy_without_a_team_in_words(self) -> None:
        ledger_hour(rows.a_device())
        (part,) = queries.split(everything(), NINE, NINE + HOUR, by="team")
        assert (part.id, part.name) == (None, "Not attributed to a team")

    def test_tells_equal_device_keys_apart_by_host(self) -> None:
        ledger_hour(rows.a_device(host="a"))
        ledger_hour(rows.a_device(host="b"))
        names = {part.name for part in queries.split(everything(), NINE, NINE + HOUR, by="device")}
        assert names == {"a · gpu-0", "b · gpu-0"}

    def test_costs_one_query_however_many_parts(self, django_assert_num_queries) -> None:
        for number in range(5):
            ledger_hour(rows.a_device(f"gpu-{number}"), team=rows.a_team(f"T{number}"))
        with django_assert_num_queries(1):
            queries.split(everything(), NINE, NINE + HOUR, by="team")


class TestTrend:
    def test_leaves_a_missing_hour_empty_instead_of_zero(self) -> None:
        device = rows.a_device()
        ledger_hour(device, NINE - 2 * HOUR, kwh=2.0)
        ledger_hour(device, NINE, kwh=1.0)

        found = queries.trend(everything(), hours(3), by=None, metric="energy")

        assert list(found.series[0].values) == [3.0, None, 1.5]
        assert (list(found.low), list(found.high)) == ([1.5, None, 0.75], [6.0, None, 3.0])

    def test_folds_the_small_ones_into_one_and_keeps_the_unattributed_apart(self) -> None:
        for number in range(8):
            ledger_hour(rows.a_device(f"gpu-{number}"), kwh=float(number + 1), team=rows.a_team(f"T{number}"))
        ledger_hour(rows.a_device("gpu-9"), kwh=100.0)

        series = queries.trend(everything(), hours(1), by="team", metric="energy", most=5).series

        assert [one.name for one in series] == ["T7", "T6", "T5", "5 others", "Not attributed to a team"]
        # (1 + … + 8 + 100) kWh x 1.5
        assert sum(one.values[0] or 0.0 for one in series) == pytest.approx(136 * 1.5)

    @pytest.mark.parametrize("metric", queries.METRICS)
    def test_of_every_metric_adds_up_to_the_totals(self, metric: str) -> None:
        ledger_hour(rows.a_device(), NINE - HOUR, kwh=2.0)
        ledger_hour(rows.a_device("gpu-1"), NINE, kwh=1.0)
        found = queries.trend(everything(), hours(), by="device", metric=metric)
        whole = queries.totals(everything(), hours().start, hours().end)
        expected = sum(getattr(whole, column).mid for column in queries.METRICS[metric])
        assert sum(v or 0.0 for one in found.series for v in one.values) == pytest.approx(expected)


class TestChange:
    def test_compares_complete_hours_with_as_many_before(self) -> None:
        device, period = rows.a_device(), preset("1h", now=NOW)  # 8:00 to 9:00, and the running hour
        ledger_hour(device, NINE - 3 * HOUR, kwh=1.0)
        ledger_hour(device, NINE - 2 * HOUR, kwh=2.0)
        ledger_hour(device, NINE - HOUR, kwh=3.0)
        ledger_hour(device, NINE, kwh=50.0)  # running: not compared

        found = queries.change(everything(), period, now=NOW)

        assert found["energy"].ratio == pytest.approx(0.5)
        assert (found["energy"].direction, found["energy"].percent) == ("up", pytest.approx(50.0))
        assert found["co2e"].ratio == pytest.approx(910 / 610 - 1)

    def test_says_nothing_where_the_ledger_began_within_the_stretch_before(self) -> None:
        device, period = rows.a_device(), preset("24h", now=NOW)
        ledger_hour(device, NINE - 26 * HOUR)
        ledger_hour(device, NINE - 2 * HOUR)
        assert queries.change(everything(), period, now=NOW)["energy"].direction == ""

    def test_compares_days_for_long_periods(self) -> None:
        device, period = rows.a_device(), preset("7d", now=NOW)
        ledger_hour(device, NINE - 14 * DAY, kwh=4.0)
        ledger_hour(device, NINE - 3 * DAY, kwh=2.0)
        assert queries.change(everything(), period, now=NOW)["energy"].ratio == pytest.approx(-0.5)


class TestSparks:
    def test_leave_the_running_hour_out(self) -> None:
        device = rows.a_device()
        ledger_hour(device, NINE - HOUR, kwh=2.0)
        ledger_hour(device, NINE, kwh=0.1)
        assert queries.sparks(everything(), preset("24h", now=NOW), now=NOW)["energy"] == [3.0]


class TestJobTotals:
    def test_cover_the_whole_life_of_one_job(self) -> None:
        device, team = rows.a_device(), rows.a_team()
        job, other = (Job.objects.create(team=team, key=key) for key in ("a", "b"))
        ledger_hour(device, NINE - 40 * DAY, kwh=1.0, job=job)
        ledger_hour(device, NINE, kwh=2.0, job=job)
        ledger_hour(device, NINE, kwh=8.0, job=other)
        assert queries.job_totals(job).it_energy_kwh.mid == pytest.approx(3.0)


class TestMarketBasedTrend:
    def test_leaves_out_where_nothing_is_known_and_keeps_a_true_nought(self) -> None:
        device = rows.a_device()
        for hour, known in ((NINE, 0.0), (NINE + HOUR, 1.5)):
            rows.ledger_hour(device, hour)
            LedgerHour.objects.filter(hour=hour).update(market_kwh=known)
            roll_up({(device.pk, hour)})
        day = Period(NINE, NINE + 2 * HOUR, "custom", "two hours")
        (series,) = queries.trend(rows.everything(), day, by=None, metric="co2e_market").series
        assert list(series.values) == [None, 0.0]
