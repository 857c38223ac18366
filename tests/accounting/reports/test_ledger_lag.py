"""How far the ledger is behind, and what is said of it."""

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounting.ledger.worklist import pulse
from accounting.models import DirtyHour, LedgerPulse
from accounting.reports.ledger_lag import LedgerLag, ledger_lag
from tests.accounting.reports import rows
from tests.accounting.reports.rows import HOUR, NINE, NOW

pytestmark = pytest.mark.django_db
SECOND = HOUR / 3600


def waiting(age_s: float, *, looked_s_ago: float | None = 1.0) -> LedgerLag:
    DirtyHour.objects.mark([(rows.a_device().pk, NINE)], now=NOW - age_s * SECOND)
    if looked_s_ago is not None:
        pulse(now=NOW - looked_s_ago * SECOND)
    return ledger_lag(now=NOW)


class TestLedgerLag:
    def test_is_none_while_nothing_waits(self) -> None:
        assert ledger_lag(now=NOW) == LedgerLag(None) and LedgerLag(None).tone == ""

    def test_is_the_age_of_the_oldest_mark_and_not_of_the_newest(self) -> None:
        device = rows.a_device()
        for age_s in (10, 40):
            DirtyHour.objects.mark([(device.pk, NINE - age_s * HOUR)], now=NOW - age_s * SECOND)
        assert ledger_lag(now=NOW).lag_s == pytest.approx(40.0)

    def test_counts_an_hour_whose_rows_are_made_until_its_roll_ups_are(self) -> None:
        waiting(40.0)
        DirtyHour.objects.update(made=DirtyHour.objects.get().stamp)
        assert ledger_lag(now=NOW).lag_s == pytest.approx(40.0)

    @pytest.mark.parametrize(("age_s", "tone"), [(119.0, ""), (121.0, "warn"), (899.0, "warn"), (901.0, "bad")])
    def test_has_a_tone_by_how_far(self, age_s: float, tone: str) -> None:
        lag = waiting(age_s)  # 60 s that running hours may wait, and 60 s of work, are nothing to speak of
        assert (lag.tone, lag.no_worker) == (tone, False)

    def test_says_that_no_worker_seems_to_run(self) -> None:
        assert waiting(130.0, looked_s_ago=None) == LedgerLag(130.0, None, no_worker=True)
        assert ledger_lag(now=NOW).tone == "bad"
        pulse(now=NOW - 125 * SECOND)
        assert ledger_lag(now=NOW).no_worker
        pulse(now=NOW)
        assert not ledger_lag(now=NOW).no_worker and LedgerPulse.objects.count() == 1

    def test_waits_for_minutes_before_it_says_so(self) -> None:
        assert not waiting(110.0, looked_s_ago=None).no_worker


class TestPages:
    @pytest.mark.parametrize("name", ["home", "home-live", "fleet"])
    def test_say_it_where_figures_are_read(self, client: Client, name: str) -> None:
        client.force_login(rows.an_administrator())
        DirtyHour.objects.mark([(rows.a_device().pk, NINE)], now=timezone.now() - HOUR / 3)
        page = client.get(reverse(name)).content.decode()
        assert "ledger 20 min" in page and "no ledger worker seems to run" in page and "badge bad" in page
        pulse(now=timezone.now())
        page = client.get(reverse(name)).content.decode()
        assert "ledger 20 min" in page and "no ledger worker" not in page
