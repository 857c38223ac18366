"""The page of factors: everything is there, is found, and can be taken away as a file."""

import csv
import io

import pytest
from django.test import Client
from django.urls import reverse

from accounting.factorbook import catalog
from accounting.factors.cpus import cpu_rows
from tests.accounting.reports import rows

pytestmark = pytest.mark.django_db


@pytest.fixture
def member(client: Client) -> Client:
    """Somebody with no team and no role: any signed-in person may read the facts."""
    client.force_login(rows.a_user())
    return client


def found(client: Client, **query: str) -> list[dict[str, str]]:
    answer = client.get(reverse("factors"), {**query, "csv": "1"})
    assert answer.status_code == 200 and answer["Content-Type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(answer.content.decode())))


class TestFactorPage:
    def test_is_for_everybody_who_is_signed_in_and_nobody_else(self, client: Client, member: Client) -> None:
        assert member.get(reverse("factors")).status_code == 200
        stranger = Client().get(reverse("factors"))
        assert stranger.status_code == 302 and stranger.url.startswith("/login/")
        assert member.post(reverse("factors")).status_code == 405

    def test_stands_in_the_navigation(self, member: Client) -> None:
        sections = {s.title: [link.label for link in s.links] for s in member.get("/factors/").context["navigation"]}
        assert sections["Account"][0] == "Factors"

    def test_shows_a_row_with_its_range_source_licence_and_note(self, member: Client) -> None:
        page = member.get(reverse("factors"), {"q": "intensity:US-VA:2023"})
        text = page.content.decode()
        assert page.context["found"] == 1
        for part in (
            "Grid intensity: US-VA",
            "intensity:US-VA:2023",
            "244.76",
            "146.85",
            "325.53",
            "eGRID2023",
            "US public domain",
            "g/kWh",
        ):
            assert part in text
        assert 'href="https://www.epa.gov/egrid/download-data"' in text

    def test_pages_through_what_was_found_and_keeps_the_question(self, member: Client) -> None:
        first = member.get(reverse("factors"), {"q": "intel xeon"})
        assert len(first.context["page"]) == 100 and "?q=intel+xeon&amp;page=2" in first.content.decode()
        second = member.get(reverse("factors"), {"q": "intel xeon", "page": "2"})
        assert not set(map(id, first.context["page"])) & set(map(id, second.context["page"]))
        assert member.get(reverse("factors"), {"page": "nonsense"}).context["page"].number == 1

    def test_keeps_the_year_on_every_page_and_in_the_file(self, member: Client) -> None:
        page = member.get(reverse("factors"), {"of": "grid_intensity", "year": "2022"})
        text = page.content.decode()
        assert "<option selected>2022</option>" in text and "of=grid_intensity&amp;year=2022&amp;csv=1" in text
        assert "of=grid_intensity&amp;year=2022&amp;page=2" in text
        assert {row.factor.year for row, *_ in page.context["lines"]} == {2022}

    def test_says_so_when_nothing_matches(self, member: Client) -> None:
        page = member.get(reverse("factors"), {"q": "<b>no such thing</b>"})
        assert "No factor matches" in page.content.decode() and "<b>no such" not in page.content.decode()


class TestFactorCsv:
    def test_holds_every_factor_with_its_provenance(self, member: Client) -> None:
        lines = found(member)
        assert {line["id"] for line in lines} == {row.factor.id for row in [*catalog(), *cpu_rows().values()]}
        for line in lines:
            assert all(
                line[name] for name in ("value", "low", "high", "unit", "source", "url", "year", "licence", "note")
            )
            assert float(line["low"]) <= float(line["value"]) <= float(line["high"])

    def test_a_countrys_code_finds_the_country_alone(self, member: Client) -> None:
        lines = found(member, q="de", of="residual_mix")
        assert [line["id"] for line in lines] == [f"residual:DE:{year}" for year in (2025, 2024, 2023)]

    def test_shows_one_year_where_it_is_asked_and_every_year_else(self, member: Client) -> None:
        asked = {"q": "France intensity", "of": "grid_intensity"}
        every, one = found(member, **asked), found(member, **asked, year="2021")
        assert [line["year"] for line in every] == [str(year) for year in range(2025, 2018, -1)]
        assert [line["id"] for line in one] == ["intensity:FR:2021"]
        assert found(member, **asked, year="last") == every

    @pytest.mark.parametrize(
        ("text", "factor_id"),
        [
            ("virginia grid", "intensity:US-VA:2023"),
            ("aws us-east-1 overhead", "pue:cloud:aws:us-east-1:2023"),
            ("H100-SXM power", "tdp:nvidia-h100-sxm:2025"),
            ("epyc 7742", "tdp:cpu:amd_epyc_7742"),
            ("france water", "ewif:FR:macknick2023"),
            ("germany residual 2024", "residual:DE:2024"),
        ],
    )
    def test_finds_rows_by_all_words_wherever_they_stand(self, member: Client, text: str, factor_id: str) -> None:
        lines = found(member, q=text)
        assert factor_id in {line["id"] for line in lines} and len(lines) < 40

    def test_keeps_to_one_quantity(self, member: Client) -> None:
        assert {line["quantity"] for line in found(member, of="price")} == {"Electricity price"}
        assert found(member, of="nonsense") == []
