"""Slurm's lists of nodes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounting.ingest.formats.hostlist import MOST_NODES, NotAHostlist, expand


class TestExpand:
    @pytest.mark.parametrize(
        ("written", "names"),
        [
            ("gpu01", "gpu01"),
            ("gpu[01-04,07],cpu-3", "gpu01 gpu02 gpu03 gpu04 gpu07 cpu-3"),
            ("r[1-2]n[08-10]", "r1n08 r1n09 r1n10 r2n08 r2n09 r2n10"),
            ("n[9-11]-ib,n[9]-ib", "n9-ib n10-ib n11-ib"),
            ("n[098-101]", "n098 n099 n100 n101"),
        ],
    )
    def test_keeps_order_zeros_and_each_name_once(self, written: str, names: str) -> None:
        assert expand(written) == names.split()

    @pytest.mark.parametrize(
        "written", ["", "n[1-", "n1]", "n[[1]]", "n[a-b]", "n[4-1]", "a,,b", f"n[0-{MOST_NODES}]", "r[1-999]n[1-999]"]
    )
    def test_refuses_what_is_no_list_of_nodes(self, written: str) -> None:
        with pytest.raises(NotAHostlist):
            expand(written)

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["gpu", "cpu-", "rack-a"]), st.integers(1, 4), st.integers(0, 500), st.integers(0, 60)
            ),
            min_size=1,
            max_size=6,
        )
    )
    def test_gives_back_what_was_compressed(self, runs: list[tuple[str, int, int, int]]) -> None:
        written, names = [], []
        for prefix, width, first, more in runs:
            low, high = str(first).zfill(width), str(first + more).zfill(width)
            written.append(f"{prefix}[{low}-{high}]")
            names += [f"{prefix}{str(number).zfill(len(low))}" for number in range(first, first + more + 1)]
        assert expand(",".join(written)) == list(dict.fromkeys(names))
