"""Hourly series out of files."""

import pytest

from accounting.factors.providers import csv_file
from accounting.factors.providers.base import EmissionBasis, Flow, Series, Signal, WrongSchema
from tests.accounting.factors.providers.cases import HOUR, MIDNIGHT, hours_of_file, recorded

HEAD = "# unit: g/kWh\n# basis: lifecycle\ndatetime,zone,value\n"


def errors(text: str, *, zone: str = "") -> list[str]:
    return [str(error) for error in csv_file.parse(text.encode(), zone=zone).errors]


class TestFile:
    def test_gives_the_same_hours_as_the_other_providers(self) -> None:
        values = hours_of_file(recorded("hours.csv"))
        got = {(value.hour - MIDNIGHT) // HOUR: (value.g_per_kwh, value.is_estimated) for value in values}
        assert got == {0: (40.0, False), 1: (44.0, False), 3: (60.0, True), 4: (61.0, False)}
        assert {v.series for v in values} == {Series(Signal.AVERAGE, EmissionBasis.LIFECYCLE, Flow.CONSUMPTION)}

    @pytest.mark.parametrize(
        ("unit", "g_per_kwh"), [("g/kWh", 2.0), ("kg/MWh", 2.0), ("kg/kWh", 2000.0), ("lb/MWh", 0.90718474)]
    )
    def test_turns_units_into_g_per_kwh(self, unit: str, g_per_kwh: float) -> None:
        (value,) = hours_of_file((HEAD.replace("g/kWh", unit) + "2026-01-01T00:00Z,FR,2\n").encode())
        assert value.g_per_kwh == pytest.approx(g_per_kwh)

    def test_takes_the_zone_from_the_caller_where_there_is_no_column(self) -> None:
        text = HEAD.replace(",zone", "") + "2026-01-01T00:00Z,41\n"
        assert [zone for zone, _ in csv_file.parse(text.encode(), zone="fr").values] == ["FR"]

    def test_reads_kind_and_coding_as_spreadsheets_write_them(self) -> None:
        text = "\ufeff# Unit: kg/MWh\r\n# Signal: marginal\r\n# basis: direct\r\n# flow: production\r\n"
        (value,) = hours_of_file((text + "Datetime, Zone, Value\r\n2026-01-01T00:00Z, FR, 2\r\n").encode())
        assert value.series == Series(Signal.MARGINAL, EmissionBasis.DIRECT, Flow.PRODUCTION)


class TestRefusals:
    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("datetime,zone,value\n", "begin the file with a line such as '# unit: g/kWh'"),
            ("# unit: furlong\n# basis: direct\ndatetime,zone,value\n", "the unit is 'furlong'"),
            ("# unit: g/kWh\ndatetime,zone,value\n", "the basis is ''"),
            ("# unit: g/kWh\n# basis: direct\ntime,zone,value\n", "line 3: no column datetime"),
            ("# unit: g/kWh\n# basis: direct\n", "no line with the columns"),
            ("", "no line with the columns"),
        ],
    )
    def test_of_the_whole_file_say_what_to_write(self, text: str, words: str) -> None:
        with pytest.raises(WrongSchema, match=words.replace("(", r"\(")):
            csv_file.parse(text.encode())

    @pytest.mark.parametrize(
        ("line", "words"),
        [
            ("2026-01-01T00:00,FR,41", "has no offset from UTC"),
            ("2026-01-01T00:30Z,FR,41", "does not begin a UTC hour"),
            ("1 Jan,FR,41", "write it like 2026-01-01T00:00Z"),
            ("2026-01-01T00:00Z,FR,many", "is no number"),
            ("2026-01-01T00:00Z,FR,-1", "no grid's intensity"),
            ("2026-01-01T00:00Z,FR,nan", "no grid's intensity"),
            ("2026-01-01T00:00Z,FR,99999", "no grid's intensity"),
            ("2026-01-01T00:00Z,FR", "fewer cells"),
            ("2026-01-01T00:00Z,,41", "is empty"),
        ],
    )
    def test_of_a_line_name_it(self, line: str, words: str) -> None:
        (error,) = errors(HEAD + f"2025-12-31T23:00Z,FR,40\n{line}\n")
        assert error.startswith("line 5: ") and words in error

    def test_names_both_lines_of_an_hour_that_stands_twice(self) -> None:
        twice = HEAD + "2026-01-01T00:00Z,FR,40\n2026-01-01T01:00+01:00,FR,41\n"
        assert errors(twice) == ["line 5: FR at 2026-01-01T00:00Z stands in line 4 already"]

    def test_of_another_zone_than_was_named(self) -> None:
        assert errors(HEAD + "2026-01-01T00:00Z,DE,40\n", zone="FR") == ["line 4: is of zone 'DE', not 'FR'"]

    def test_tells_the_first_twenty_and_counts_the_rest(self) -> None:
        found = csv_file.parse((HEAD + "x,FR,1\n" * 30).encode())
        assert (len(found.errors), found.wrong, found.values) == (20, 30, [])

    def test_of_what_is_no_text_or_too_much_of_it(self) -> None:
        with pytest.raises(WrongSchema, match="not UTF-8"):
            csv_file.parse(b"\xff\xfe\x00")
        with pytest.raises(WrongSchema, match="split it by year"):
            csv_file.parse(b" " * (csv_file.MOST_BYTES + 1))
