"""Long forms in groups: every field is shown once, and a fold never hides what was said or what is wrong."""

import csv
import io
from datetime import UTC, datetime

import pytest
from django import forms
from django.test import Client
from django.urls import reverse

from accounting.models import Job, SiteTerms
from accounting.views.form_groups import Group, grouped
from tests.accounting.ledger.rows import a_site
from tests.accounting.reports import rows

pytestmark = pytest.mark.django_db
SINCE = datetime(2026, 3, 2, 8, tzinfo=UTC)


class _Form(forms.Form):
    name = forms.CharField()
    price = forms.FloatField(required=False)
    policy = forms.CharField(required=False)


NAMED = Group("What", "It has a name.", ("name",))
RARE = Group("Money", "Rarely said.", ("price", "policy"), rare=True, usual=("kept",))


class TestGrouped:
    @pytest.mark.parametrize(
        ("data", "is_open"),
        [
            ({"name": "a"}, False),
            ({"name": "a", "policy": "kept"}, False),
            ({"name": "a", "price": "0"}, True),
            ({"name": "a", "price": "cheap"}, True),
            ({"name": "a", "policy": "equal"}, True),
        ],
    )
    def test_a_rare_group_opens_for_what_is_said_and_for_what_is_wrong(
        self, data: dict[str, str], is_open: bool
    ) -> None:
        form = _Form(data)
        form.is_valid()
        (what, money) = grouped(form, [NAMED, RARE])
        assert not what.folds and money.folds and money.open is is_open

    def test_refuses_to_leave_a_field_out(self) -> None:
        with pytest.raises(ValueError, match="in no group: policy, price"):
            grouped(_Form(), [NAMED])


@pytest.fixture
def admin(client: Client) -> Client:
    client.force_login(rows.an_administrator())
    return client


def lines(client: Client, url: str, **query: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(client.get(url, query).content.decode())))


class TestSitePage:
    def test_opens_the_form_until_a_zone_is_stated_and_for_errors(self, admin: Client) -> None:
        site = a_site("lyon")
        url = reverse("site", args=[site.pk])
        fold = '<details class="card fold" open>'
        site.terms.all().delete()
        assert fold in admin.get(url).content.decode()
        SiteTerms.objects.create(site=site, valid_from=SINCE, grid_zone="FR", pue=1.2)
        assert fold not in admin.get(url).content.decode()
        said = {"terms-valid_from": "2026-03-02T09:00", "terms-grid_zone": "FR", "terms-pue": "0.5"}
        page = admin.post(url, said).content.decode()
        assert fold in page and "1 field to mend below" in page

    def test_every_statement_can_be_taken_away_as_a_file(self, admin: Client) -> None:
        site = a_site("lyon")
        site.terms.all().delete()
        SiteTerms.objects.create(site=site, valid_from=SINCE, grid_zone="FR", pue=1.2, carbon_price_per_t=75.0)
        (line,) = lines(admin, reverse("site", args=[site.pk]), csv="terms")
        assert (line["grid_zone"], line["pue"], line["carbon_price_per_t"], line["wue_l_per_kwh"]) == (
            "FR", "1.2", "75.0", "",
        )  # fmt: skip
        (of_fleet,) = lines(admin, reverse("fleet"), csv="sites")
        assert (of_fleet["site"], of_fleet["grid_zone"]) == (site.name, "FR")


class TestDevicePage:
    def test_its_jobs_can_be_taken_away_as_a_file(self, admin: Client) -> None:
        device, job = rows.a_device(), Job.objects.create(key="train-7", name="Sweep 7")
        rows.ledger_hour(device, SINCE, job=job)
        asked = {"from": "2026-03-02T00:00", "to": "2026-03-03T00:00", "csv": "jobs"}
        (line,) = lines(admin, reverse("device", args=[device.pk]), **asked)
        assert "Sweep 7" in line.values()
