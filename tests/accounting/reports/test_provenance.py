"""Every id that a figure carries can be read: which row, what it stands in for, by which step."""

import pytest

from accounting.methods.records import Status
from accounting.reports.provenance import describe


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
