import pytest

from accounting.models import Team
from optimizer.models import Experiment, Recommendation
from optimizer.models.measurements import Quantity
from optimizer.recommend import DecisionRefused, decide, recommend_for_experiment
from tests.optimizer.rows import NOW, a_user, a_workload, an_experiment, compared, later, measured

pytestmark = pytest.mark.django_db
Outcome = Experiment.Outcome


def exactly(value, status="MODELLED"):
    return {"low": value, "mid": value, "high": value, "status": status}


CONTEXT = {"pue": exactly(1.5), "intensity_g_per_kwh": exactly(200.0), "price_per_kwh": exactly(0.3)}


def a_finished_experiment(*, losses=(0.3, 5.0), ratios=(0.5, 0.3), saved_j=(0.18, 0.36, 0.72), **fields):
    """Goal size; two candidates, each `ratio` times as large and `loss` points worse than the baseline."""
    given = {"state": "finished", "finished_at": NOW, "carbon_context": CONTEXT, "energy_j": 3600.0, **fields}
    experiment = an_experiment(**given)
    baseline, *tried = experiment.variants.all()
    measured(baseline, Quantity.SIZE, 1000.0)
    measured(baseline, Quantity.ENERGY, 1.0, status="MODELLED")
    for variant, loss, ratio in zip(tried, losses, ratios, strict=True):
        measured(variant, Quantity.SIZE, 1000.0 * ratio)
        measured(variant, Quantity.QUALITY, 0.95 - loss / 100, spread=0.01)
        compared(variant, Quantity.SIZE, (ratio,) * 3, (1000 * (ratio - 1),) * 3)
        compared(variant, Quantity.QUALITY, (0.98, 0.99, 1.0), (-loss / 100 - 0.005, -loss / 100, -loss / 100 + 0.005))
        low, mid, high = saved_j
        compared(variant, Quantity.ENERGY, (0.3, 0.64, 0.9), (-high, -mid, -low))
    return experiment


class TestRecommendForExperiment:
    def test_writes_the_best_qualifying_variant_with_what_it_saves(self):
        experiment = a_finished_experiment()
        row = recommend_for_experiment(experiment.pk, now=NOW)
        assert row.variant.position == 1
        assert row.title == "Digits: int8 linear layers"
        # 0.36 J x 1e6 / 3.6e6 = 0.1 kWh; x 1.5 = 0.15 kWh; x 200 g = 30 g; x 0.3 = 0.045
        assert row.energy_saving_kwh == pytest.approx(0.15)
        assert (row.co2e_saving_g, row.cost_saving) == pytest.approx((30.0, 0.045))
        assert row.energy_saving_kwh_low == pytest.approx(0.075)
        # 3600 J = 0.001 kWh, x 1.5; and 3600 / 0.36 = 10 000 units
        assert (row.one_off_kwh, row.break_even_units) == pytest.approx((0.0015, 10_000))
        assert (row.per, row.evidence) == ("million inferences", "modelled")
        experiment.refresh_from_db()
        assert experiment.outcome == Outcome.RECOMMENDED

    def test_without_a_known_price_says_so_and_keeps_no_saving_of_nought(self):
        experiment = a_finished_experiment()
        experiment.carbon_context = CONTEXT | {"price_per_kwh": None}
        experiment.save()
        row = recommend_for_experiment(experiment.pk, now=NOW)
        assert (row.cost_saving_low, row.cost_saving, row.cost_saving_high) == (None, None, None)
        assert row.co2e_saving_g == pytest.approx(30.0) and "state the site's price" in row.reason

    def test_names_the_alternative_and_why_it_lost(self):
        row = recommend_for_experiment(a_finished_experiment().pk, now=NOW)
        (other,) = row.alternatives
        assert (other["label"], other["qualifies"]) == ("int4 linear layers", False)
        assert "loses 5.00 points" in other["reason"]

    def test_says_that_nothing_qualifies_and_why_for_each(self):
        experiment = a_finished_experiment(losses=(3.0, 5.0))
        assert recommend_for_experiment(experiment.pk, now=NOW) is None
        experiment.refresh_from_db()
        assert experiment.outcome == Outcome.NOTHING_QUALIFIES
        assert "int8 linear layers: It loses 3.00 points" in experiment.explanation
        assert "int4 linear layers: It loses 5.00 points" in experiment.explanation
        assert not Recommendation.objects.exists()

    def test_counts_savings_for_the_month_where_the_volume_is_known(self):
        experiment = a_finished_experiment(workload=a_workload(units_per_month=2e6))
        row = recommend_for_experiment(experiment.pk, now=NOW)
        assert (row.per, row.energy_saving_kwh) == ("month", pytest.approx(0.3))

    def test_a_smaller_file_that_saves_no_energy_is_recommended_and_says_so(self):
        row = recommend_for_experiment(a_finished_experiment(saved_j=(-0.5, -0.1, 0.2)).pk, now=NOW)
        assert row.energy_saving_kwh_low < row.energy_saving_kwh < 0 < row.energy_saving_kwh_high
        assert "Whether it saves energy is not shown" in row.reason
        assert row.break_even_units is None

    def test_says_which_rates_are_defaults(self):
        context = {**CONTEXT, "intensity_g_per_kwh": exactly(400.0, "DEFAULT")}
        row = recommend_for_experiment(a_finished_experiment(carbon_context=context).pk, now=NOW)
        assert "grid intensity: typical values were used" in row.reason

    def test_keeps_what_the_worker_had_to_remark(self):
        experiment = a_finished_experiment(explanation="No agent of this machine has posted.")
        recommend_for_experiment(experiment.pk, now=NOW)
        experiment.refresh_from_db()
        assert experiment.explanation.endswith("No agent of this machine has posted.")

    def test_asked_again_it_changes_nothing(self):
        experiment = a_finished_experiment()
        first = recommend_for_experiment(experiment.pk, now=NOW)
        again = recommend_for_experiment(experiment.pk, now=later(60))
        assert (again.pk, again.created_at) == (first.pk, first.created_at)
        assert Recommendation.objects.count() == 1

    @pytest.mark.parametrize("state", ["queued", "running", "failed", "cancelled", "quarantined"])
    def test_concludes_nothing_from_what_did_not_finish(self, state):
        experiment = an_experiment(state=state)
        assert recommend_for_experiment(experiment.pk, now=NOW) is None
        experiment.refresh_from_db()
        assert experiment.outcome == Outcome.NONE


class TestDecide:
    def test_is_taken_once(self):
        row = recommend_for_experiment(a_finished_experiment().pk, now=NOW)
        user = a_user("ada", Team.objects.get())
        decided = decide(row.pk, state="accepted", note="ship it", by=user, now=later(5))
        assert (decided.state, decided.decided_by, decided.decided_at) == ("accepted", user, later(5))
        with pytest.raises(DecisionRefused, match="not open any more"):
            decide(row.pk, state="dismissed", note="no", by=user, now=later(6))
        row.refresh_from_db()
        assert (row.state, row.decision_note) == ("accepted", "ship it")

    def test_refuses_what_is_no_decision(self):
        with pytest.raises(DecisionRefused, match="'open' is no decision"):
            decide(1, state="open", note="", by=None, now=NOW)
