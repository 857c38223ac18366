"""Charts as plain dicts."""

import json
from zoneinfo import ZoneInfo

import pytest

from accounting.models import Job
from accounting.reports import figures, jobs
from accounting.reports.periods import preset
from accounting.reports.queries import trend
from tests.accounting.reports import rows
from tests.accounting.reports.rows import HOUR, NINE, NOW, everything, ledger_hour

pytestmark = pytest.mark.django_db
PARIS = ZoneInfo("Europe/Paris")


def drawn(key: str = "24h", metric: str = "co2e", by: str = "team") -> dict:
    period = preset(key, now=NOW)
    found = trend(everything(), period, by=by, metric=metric)
    return figures.trend_figure(found, period=period, metric=metric, currency="EUR", zone=PARIS)


class TestTrendFigure:
    def test_draws_what_the_query_found_in_the_readers_time(self) -> None:
        ledger_hour(rows.a_device(), NINE, kwh=2.0, team=rows.a_team())
        figure = drawn()
        bars, whiskers = figure["data"]
        at = bars["x"].index("2026-03-10T10:00:00")  # nine o'clock UTC is ten in Paris
        assert bars["y"][at] == pytest.approx(610.0)  # 2 kWh x 300 g + 10 g
        assert [y for y in bars["y"] if y is not None] == [bars["y"][at]]
        assert (whiskers["error_y"]["array"][at], whiskers["error_y"]["arrayminus"][at]) == (610.0, 305.0)
        assert figure["layout"]["yaxis"]["title"]["text"] == "g CO₂e / hour"

    def test_scales_the_axis_with_the_figures(self) -> None:
        ledger_hour(rows.a_device(), NINE, kwh=2000.0)
        assert drawn("7d", "energy")["layout"]["yaxis"]["title"]["text"] == "MWh / UTC day"

    def test_has_words_and_no_bars_where_nothing_is(self) -> None:
        assert drawn()["data"] == [] and drawn()["empty"]

    def test_is_json_with_svg_traces_and_tokens_for_colours(self) -> None:
        for number in range(9):
            ledger_hour(rows.a_device(f"gpu-{number}"), kwh=1.0, team=rows.a_team(f"T{number}"))
        figure = json.loads(json.dumps(drawn()))
        assert {trace["type"] for trace in figure["data"]} <= {"bar", "scatter"}
        assert all(trace["marker"]["color"].startswith("--") for trace in figure["data"])


class TestJobFigure:
    def test_carries_the_range_of_each_hour(self) -> None:
        job = Job.objects.create(key="a")
        ledger_hour(rows.a_device(), NINE - HOUR, kwh=0.2, job=job)
        ledger_hour(rows.a_device("b"), NINE, kwh=0.4, job=job)
        (trace,) = figures.job_figure(jobs.job_hours(job), zone=PARIS)["data"]
        assert trace["y"] == pytest.approx([200.0, 400.0])  # Wh
        assert trace["error_y"]["arrayminus"] == pytest.approx([100.0, 200.0])
