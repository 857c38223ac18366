"""The page of estimates: the question is its URL, the answer the API's, and the CSV the same figures."""

import csv
import io

import pytest
from django.test import Client
from django.urls import reverse

from accounting.estimates.run import NUMBERS, TEXTS
from accounting.views.estimate_form import FIELDS
from tests.accounting.reports import rows

pytestmark = pytest.mark.django_db
URL = "/estimates/new"
TEN_KILOWATTS = {"power_w": "10000", "count": "1", "hours": "1", "pue": "3", "intensity_g_per_kwh": "50"}


@pytest.fixture
def member(client: Client) -> Client:
    client.force_login(rows.a_user())
    return client


class TestEstimatePage:
    def test_is_for_everybody_who_is_signed_in(self, member: Client) -> None:
        assert reverse("estimate-new") == URL and member.get(URL).status_code == 200
        stranger = Client().get(URL)
        assert stranger.status_code == 302 and stranger.url.startswith("/login/")
        assert member.post(URL).status_code == 405

    def test_asks_before_it_answers(self, member: Client) -> None:
        page = member.get(URL)
        assert page.context["answered"] is None and "What it comes to" not in page.content.decode()

    def test_shows_what_a_run_comes_to(self, member: Client) -> None:
        text = member.get(URL, TEN_KILOWATTS).content.decode()
        for part in (
            "What it comes to",
            "30.0 kWh",
            "1.50 kg",
            "it_energy_kwh x pue given",
            '<details class="more" open>',
        ):
            assert part in text

    def test_names_the_factors_behind_a_figure(self, member: Client) -> None:
        text = member.get(URL, {"device": "H100 SXM", "count": "8", "hours": "10", "zone": "FR"}).content.decode()
        assert 'href="/factors/?q=intensity%3AFR%3A20' in text and "lifetime_hours: not given" in text

    @pytest.mark.parametrize(
        ("query", "field", "says"),
        [
            ({"power_w": "1", "hours": "1", "pue": "0.5"}, "pue", "from 1 to 10"),
            ({"device": "H1000", "hours": "1"}, "device", "did you mean"),
            ({"power_w": "much", "hours": "1"}, "power_w", "Enter a number"),
            ({"power_w": "1", "hours": "1", "unit_name": "token"}, "unit_name", "functional_unit.count is missing"),
        ],
    )
    def test_a_refusal_stands_at_its_field(self, member: Client, query: dict[str, str], field: str, says: str) -> None:
        page = member.get(URL, query)
        assert page.status_code == 200 and page.context["answered"] is None
        assert says in str(page.context["form"].errors[field])

    def test_the_csv_has_the_figures_in_full(self, member: Client) -> None:
        reply = member.get(URL, TEN_KILOWATTS | {"csv": "1"})
        assert reply["Content-Type"].startswith("text/csv")
        lines = {line["quantity"]: line for line in csv.DictReader(io.StringIO(reply.content.decode()))}
        assert float(lines["facility_energy_kwh"]["mid"]) == 30 and lines["co2e_location_kg"]["status"] == "MODELLED"

    def test_every_input_of_the_api_may_be_stated(self) -> None:
        assert {*NUMBERS, *TEXTS} <= set(FIELDS)
