"""Ranks that each report the whole node count once; what merely looks alike counts in full."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounting.methods.ranks import Report, repeated_reports

H = 3_600_000_000
RANK = Report("rank-0", "4711", "node-a", 0, H, 7.2e6, rank=0, of_whole_node=True)


def ranks(*energies_j: float, **fields: object) -> list[Report]:
    return [replace(RANK, id=f"rank-{n}", rank=n, energy_j=e, **fields) for n, e in enumerate(energies_j)]


class TestRepeatedReports:
    def test_four_ranks_in_machine_mode_are_one_node(self) -> None:
        # codecarbon PR 1390: --ntasks-per-node=4, each tracker measures the whole node, 2 kW for an hour, with a few
        # watts between their samples. 4 x 2 kWh = 8 kWh were reported, 2 kWh = 7.2 MJ were drawn.
        reports = ranks(7.2e6, 7.21e6, 7.19e6, 7.205e6)
        (found,) = repeated_reports(reports, tolerance=0.02)
        assert found.counted == reports[0] and found.left_out == tuple(reports[1:])
        left = sum(r.energy_j for r in reports) - sum(r.energy_j for r in found.left_out)
        assert left == pytest.approx(7.2e6)
        assert "4 posters of job 4711 report the whole node node-a" in found.why

    def test_the_longest_counts(self) -> None:
        early, late = replace(RANK, start_us=600_000_000, energy_j=6e6), replace(RANK, id="rank-1", rank=1)
        assert repeated_reports([early, late], tolerance=0.02)[0].counted == late

    def test_a_draw_that_only_a_node_can_have_speaks_for_itself(self) -> None:
        reports = ranks(7.2e6, 7.2e6, of_whole_node=None)
        assert repeated_reports(reports, tolerance=0.02) == []
        assert len(repeated_reports(reports, tolerance=0.02, least_node_w=1500.0)) == 1
        assert repeated_reports(reports, tolerance=0.02, least_node_w=2500.0) == []

    @pytest.mark.parametrize(
        "other",
        [
            {"job": "4712"},
            {"node": "node-b"},
            {"energy_j": 5e6},
            {"start_us": H, "end_us": 2 * H},
            {"rank": 0},
            {"of_whole_node": False},
        ],
    )
    def test_leaves_what_is_not_a_repeat(self, other: dict[str, object]) -> None:
        reports = [RANK, replace(RANK, **({"id": "other", "rank": 1} | other))]
        assert repeated_reports(reports, tolerance=0.02) == []

    def test_two_nodes_with_two_ranks_each_are_two_nodes(self) -> None:
        reports = [*ranks(7.2e6, 7.2e6), *ranks(7.2e6, 7.2e6, node="node-b")]
        assert len(repeated_reports(reports, tolerance=0.02)) == 2

    @given(st.permutations(range(5)), st.floats(1.0, 1e9))
    def test_counts_the_same_one_in_whatever_order_they_come(self, order: list[int], energy_j: float) -> None:
        reports = ranks(*[energy_j] * 5)
        (found,) = repeated_reports([reports[k] for k in order], tolerance=0.02)
        assert found.counted == reports[0] and len(found.left_out) == 4

    @pytest.mark.parametrize("bad", [{"end_us": 0}, {"energy_j": -1.0}])
    def test_refuses_a_report_that_cannot_be(self, bad: dict[str, object]) -> None:
        with pytest.raises(ValueError, match="report rank-0 of"):
            repeated_reports([replace(RANK, **bad)], tolerance=0.02)
