"""Tables as CSV."""

import csv
import io
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from accounting.reports.export import FORMULA_STARTS, csv_cell, csv_of
from accounting.reports.tables import Column, Table


def table(*values: object) -> Table:
    return Table("t", "T", [Column(f"c{n}", f"C{n}") for n in range(len(values))], [list(values)])  # type: ignore[arg-type]


class TestCsv:
    @pytest.mark.parametrize("start", FORMULA_STARTS)
    def test_disarms_text_that_a_spreadsheet_would_run(self, start: str) -> None:
        assert csv_cell(f"{start}HYPERLINK(1)") == f"'{start}HYPERLINK(1)"

    def test_keeps_the_sign_of_a_number(self) -> None:
        assert csv_of(table(-0.1, -3)) == "c0,c1\r\n-0.1,-3\r\n"

    def test_writes_times_in_utc_and_nothing_for_what_is_not_known(self) -> None:
        paris = datetime(2026, 3, 10, 9, tzinfo=ZoneInfo("Europe/Paris"))
        assert csv_of(table(paris, date(2026, 3, 10), None)) == "c0,c1,c2\r\n2026-03-10T08:00:00Z,2026-03-10,\r\n"

    @given(st.lists(st.text(max_size=20), min_size=1, max_size=4), st.floats(allow_nan=False, allow_infinity=False))
    def test_reads_back_as_it_was_with_every_digit(self, words: list[str], number: float) -> None:
        *cells, last = list(csv.reader(io.StringIO(csv_of(table(*words, number)), newline="")))[1]
        assert float(last) == number
        for cell, word in zip(cells, words, strict=True):
            assert cell in (word, f"'{word}") and not cell.startswith(FORMULA_STARTS)


class TestShownRows:
    def test_show_times_in_the_readers_zone_and_numbers_to_six_digits(self) -> None:
        with timezone.override("Europe/Paris"):
            (row,) = table(datetime(2026, 3, 10, 8, tzinfo=UTC), 1234.56789, None).shown_rows
        assert [cell.text for cell in row] == ["2026-03-10 09:00", "1,234.57", "–"]
