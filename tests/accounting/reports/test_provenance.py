"""Every id that a figure carries can be read: which row, what it stands in for, by which step."""

import pytest

from accounting.methods.records import Status
from accounting.models import OwnFactor
from accounting.reports.provenance import describe
from tests.accounting.ledger.rows import NOON, a_device, a_site


class TestDescribe:
    @pytest.mark.parametrize(
        ("factor_id", "of", "status"),
        [
            ("intensity:FR:2023", "FR", Status.MODELLED),
            ("intensity:FR:2023@unknown-part:FR-IDF", "FR for FR-IDF", Status.DEFAULT),
            ("intensity:US-VA:2023@cloud:aws:us-east-1", "US-VA for aws:us-east-1", Status.MODELLED),
            (
                "intensity:AU:2023@unknown-part:AU-NSW@cloud:azure:australiaeast",
                "AU for AU-NSW for azure:australiaeast",
                Status.DEFAULT,
            ),
            ("tdp:nvidia-h100-sxm:2025@unknown-variant:h100", "nvidia-h100-sxm for h100", Status.DEFAULT),
            ("tdp:cpu:amd_epyc_7742", "amd epyc 7742", Status.MODELLED),
            ("intensity:US-VA:2016@for-year:2020", "US-VA for 2020", Status.MODELLED),
            ("intensity:US-VA:2016@for-year:2015", "US-VA for 2015", Status.DEFAULT),
            ("residual:US-CAMX:2023@unknown-subregion:US-CA", "US-CAMX for US-CA", Status.DEFAULT),
        ],
    )
    def test_names_the_row_and_what_it_stands_in_for(self, factor_id: str, of: str, status: Status) -> None:
        (line,) = describe([factor_id])
        assert (line.of, line.status) == (of, status) and line.factor is not None and line.url

    def test_still_lists_what_the_catalogue_no_longer_has(self) -> None:
        (line,) = describe(["intensity:atlantis:1990"])
        assert line.factor is None and line.status is None


@pytest.mark.django_db
class TestDescribeWhatTheOrganisationStates:
    def test_shows_an_own_factor_with_its_version_also_when_it_is_gone(self) -> None:
        own = OwnFactor.objects.create(
            quantity="grid_intensity", key="FR", value=40.0, low=30.0, high=50.0, unit="g/kWh", source="RTE",
            reason="asked", created_at=NOON, created_by="ada",
        )  # fmt: skip
        (line,) = describe([f"{own.factor_id}@unknown-part:FR-IDF"])
        assert (line.quantity, line.of, line.status) == ("Grid intensity", "FR for FR-IDF", Status.DEFAULT)
        assert line.factor.value.mid == 40.0 and line.url == f"/factors/own/{own.pk}/"
        assert line.source == "RTE (own factor of the organisation, version 1)"
        OwnFactor.objects.update(withdrawn_at=NOON)
        assert describe([own.factor_id])[0].source.endswith("version 1, no longer in force)")

    def test_finds_what_terms_and_devices_state_and_links_to_their_pages(self) -> None:
        site = a_site(pue=1.3)
        device = a_device(site=site, embodied_kg=150.0)
        ids = ["site:paris:pue@2020-01-01", f"device:{device.pk}:embodied_kg", "telemetry:paris:grid_intensity"]
        lines = {line.id: line for line in describe([*ids, "site:atlantis:pue@2020-01-01", "device:999:lifetime_h"])}
        stated, of_device, told = (lines[one] for one in ids)
        assert (stated.factor.value.mid, stated.url) == (1.3, f"/fleet/sites/{site.pk}/")
        assert (of_device.factor.value.mid, of_device.url) == (150.0, f"/fleet/devices/{device.pk}/")
        assert told.factor is None and told.status is Status.MEASURED and told.url == stated.url
        assert lines["site:atlantis:pue@2020-01-01"].url == lines["device:999:lifetime_h"].url == ""
