import csv
import io

import pytest

from optimizer.experiments.claim import Progress, claim, report
from optimizer.models import Experiment
from optimizer.models.measurements import Measurement, Quantity
from optimizer.recommend import recommend_for_experiment
from optimizer.views.results import before_after
from tests.optimizer.rows import NOW, a_machine, a_workload, an_experiment, later, measured
from tests.optimizer.test_recommend import a_finished_experiment

State = Experiment.State


@pytest.fixture
def workload(people):
    return a_workload(people.team)


@pytest.fixture
def running(workload):
    machine = a_machine()
    experiment = an_experiment(workload=workload, hardware=machine)
    lease = claim(experiment.pk, hardware=machine, owner="w", now=NOW, lease_s=60, max_attempts=3)
    report(lease, Progress("Round 3 of 20", 41.6, 130.0, 31.0, 620.0, 0.0212), now=later(1))
    experiment.lease = lease
    return experiment


def page(client, experiment, tail=""):
    return client.get(f"/experiments/{experiment.pk}/{tail}")


class TestDetail:
    def test_shows_progress_and_asks_for_more_while_it_runs(self, people, running):
        text = page(people.viewer, running).content.decode()
        for words in ("Round 3 of 20", "42 %, about 2 min 10 s left", "31.0 W", "620 J", "21.2 mg", "Running"):
            assert words in text
        assert f'hx-get="/experiments/{running.pk}/progress/"' in text
        assert 'hx-trigger="every 2s"' in text

    @pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED, State.QUARANTINED])
    def test_asks_no_more_once_it_is_over_and_says_why(self, people, workload, state):
        experiment = an_experiment(workload=workload, state=state, explanation="killed by SIGKILL")
        text = page(people.member, experiment).content.decode()
        assert "hx-get" not in text
        assert "killed by SIGKILL" in text

    def test_shows_each_variants_figures_ratios_and_verdicts(self, people, workload):
        experiment = a_finished_experiment(workload=workload)
        experiment.variants.filter(position=2).update(failure="build: no such kernel")
        recommend_for_experiment(experiment.pk, now=NOW)
        text = page(people.member, experiment).content.decode()
        for words in ("Size on disk", "500 B", "0.50 ×", "lower", "94.7 %", "93.7 to 95.7", "build: no such kernel"):
            assert words in text
        assert "A variant qualifies" in text
        assert "Digits: int8 linear layers" in text
        first, second = experiment.variants.all()[:2]
        assert text.index(f'scope="row">{first.label}') < text.index(f'scope="row">{second.label}')

    def test_compares_quality_in_points_and_says_once_how_a_column_is_known(self, people, workload):
        experiment = a_finished_experiment(workload=workload)
        seen = before_after(experiment)
        quality = [head.words for head in seen.heads].index("Quality: accuracy")
        assert seen.rows[1].cells[quality].verdict.startswith("−0.")
        assert seen.rows[1].cells[quality].verdict.partition(" points, ")[2] in ("lower", "no difference shown")
        assert all(head.status for head in seen.heads)
        assert not any(cell.status for row in seen.rows for cell in row.cells)

    def test_shows_the_status_in_the_cells_where_a_column_mixes_them(self, people, workload):
        experiment = a_finished_experiment(workload=workload)
        Measurement.objects.filter(variant__position=1, quantity=Quantity.SIZE).update(status="DEFAULT")
        seen = before_after(experiment)
        size = [head.words for head in seen.heads].index("Size on disk")
        assert seen.heads[size].status == ""
        assert [row.cells[size].status for row in seen.rows] == ["MEASURED", "DEFAULT", "MEASURED"]

    def test_says_so_where_too_few_rounds_carry_no_finding(self, people, workload):
        experiment = a_finished_experiment(workload=workload)
        experiment.comparisons.filter(quantity=Quantity.ENERGY).update(
            verdict="no_difference", ratio_low=0.3, ratio=0.4, ratio_high=0.5
        )
        measured(experiment.variants.get(position=1), Quantity.ENERGY, 0.4)
        assert "0.40 ×, too few rounds to say" in page(people.member, experiment).content.decode()

    def test_says_one_point_and_two_points(self, people, workload):
        one = an_experiment(workload=workload, quality_floor_points=1.0)
        two = an_experiment(workload=workload, quality_floor_points=2.0)
        assert "at most 1 point of" in page(people.member, one).content.decode()
        assert "at most 2 points of" in page(people.member, two).content.decode()

    def test_says_that_nothing_qualifies_with_the_reasons(self, people, workload):
        experiment = a_finished_experiment(workload=workload, losses=(3.0, 5.0))
        recommend_for_experiment(experiment.pk, now=NOW)
        text = page(people.member, experiment).content.decode()
        assert "Nothing qualifies" in text
        assert "int8 linear layers: It loses 3.00 points" in text

    def test_is_not_there_for_another_team(self, people, running):
        for tail in ("", "progress/", "results.csv", "chart.json"):
            assert page(people.stranger, running, tail).status_code == 404
            assert page(people.auditor, running, tail).status_code == 200


class TestProgress:
    def test_answers_not_modified_while_nothing_changed(self, people, running):
        first = page(people.member, running, "progress/")
        same = {"If-None-Match": first.headers["ETag"]}
        assert people.member.get(f"/experiments/{running.pk}/progress/", headers=same).status_code == 304
        report(running.lease, Progress("Round 4 of 20", 45.0, 120.0, 31.0, 640.0), now=later(2))
        changed = people.member.get(f"/experiments/{running.pk}/progress/", headers=same)
        assert changed.status_code == 200
        assert "Round 4 of 20" in changed.content.decode()
        assert "<html" not in changed.content.decode()

    def test_ends_the_polling_and_asks_for_the_whole_page_when_it_is_over(self, people, workload):
        experiment = an_experiment(workload=workload, state=State.CANCELLED)
        answer = page(people.member, experiment, "progress/")
        assert (answer.status_code, answer.headers["HX-Refresh"]) == (286, "true")

    def test_goes_on_until_the_conclusion_is_drawn(self, people, workload):
        experiment = a_finished_experiment(workload=workload)
        assert page(people.member, experiment, "progress/").status_code == 200
        recommend_for_experiment(experiment.pk, now=NOW)
        assert page(people.member, experiment, "progress/").status_code == 286


class TestCancel:
    def test_cancels_a_waiting_experiment(self, people, workload):
        experiment = an_experiment(workload=workload)
        people.member.post(f"/experiments/{experiment.pk}/cancel/")
        experiment.refresh_from_db()
        assert experiment.state == State.CANCELLED

    def test_asks_a_running_one_to_stop_and_says_so(self, people, running):
        people.member.post(f"/experiments/{running.pk}/cancel/")
        text = page(people.member, running).content.decode()
        assert "Stopping" in text
        assert "Stop it" not in text

    def test_is_for_members_only(self, people, running):
        address = f"/experiments/{running.pk}/cancel/"
        assert people.viewer.post(address).status_code == 403
        assert people.auditor.post(address).status_code == 403
        assert people.stranger.post(address).status_code == 404
        assert people.member.get(address).status_code == 405
        running.refresh_from_db()
        assert running.cancel_requested_at is None
        assert "Stop it" not in page(people.viewer, running).content.decode()


class TestResults:
    def test_csv_holds_every_digit_and_the_comparison(self, people, workload):
        experiment = a_finished_experiment(workload=workload)
        answer = page(people.viewer, experiment, "results.csv")
        rows = list(csv.DictReader(io.StringIO(answer.content.decode())))
        size = next(row for row in rows if row["variant"] == "int8 linear layers" and row["quantity"] == "size_bytes")
        assert (size["mid"], size["ratio"], size["verdict"], size["status"]) == ("500.0", "0.5", "lower", "MEASURED")
        assert len(rows) == 6  # baseline: size, energy; two candidates: size, quality

    def test_chart_has_a_point_with_both_intervals_for_each_variant_that_has_both(self, people, workload):
        experiment = a_finished_experiment(workload=workload)
        chosen = experiment.variants.get(position=1)
        chosen.measurements.create(quantity=Quantity.ENERGY, low=0.5, mid=0.64, high=0.9, status="MODELLED", method="m")
        (trace,) = page(people.viewer, experiment, "chart.json").json()["data"]
        assert (trace["name"], trace["x"], trace["y"]) == ("int8 linear layers", [0.64], [pytest.approx(94.7)])
        assert trace["error_x"]["array"] == [pytest.approx(0.26)]
        assert trace["error_x"]["arrayminus"] == [pytest.approx(0.14)]
        assert trace["error_y"]["array"] == [pytest.approx(1.0)]


class TestIndex:
    def test_lists_the_readers_teams_experiments(self, people, running):
        address = f'href="/experiments/{running.pk}/"'
        assert address in people.member.get("/experiments/").content.decode()
        assert address in people.auditor.get("/experiments/").content.decode()
        assert address not in people.stranger.get("/experiments/").content.decode()
        assert "No experiment yet" in people.stranger.get("/experiments/").content.decode()
