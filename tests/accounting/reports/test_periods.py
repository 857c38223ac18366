"""Which stretch of time a URL asks for."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounting.reports.periods import DAY, HOUR, PRESETS, PeriodRefused, custom, from_query, preset

NOW = datetime(2026, 3, 10, 9, 20, tzinfo=UTC)
PARIS = ZoneInfo("Europe/Paris")


class TestPreset:
    def test_of_24_hours_holds_24_whole_hours_and_the_running_one(self) -> None:
        period = preset("24h", now=NOW)
        assert (period.start, period.end) == (
            datetime(2026, 3, 9, 9, tzinfo=UTC),
            datetime(2026, 3, 10, 10, tzinfo=UTC),
        )
        assert period.grain == "hour" and len(period.buckets()) == 25

    def test_of_7_days_lies_on_utc_days(self) -> None:
        period = preset("7d", now=NOW)
        assert (period.start, period.end) == (datetime(2026, 3, 3, tzinfo=UTC), datetime(2026, 3, 11, tzinfo=UTC))
        assert period.grain == "day" and len(period.buckets()) == 8

    @pytest.mark.parametrize("key", PRESETS)
    def test_comes_back_from_its_own_url(self, key: str) -> None:
        period = preset(key, now=NOW)
        assert from_query(dict(parse_qsl(period.query)), now=NOW, zone=PARIS) == period


class TestCompared:
    def test_holds_whole_hours_against_the_equal_stretch_before(self) -> None:
        current, before = preset("24h", now=NOW).compared(now=NOW)  # type: ignore[misc]
        assert (current.start, current.end) == (
            datetime(2026, 3, 9, 9, tzinfo=UTC),
            datetime(2026, 3, 10, 9, tzinfo=UTC),
        )
        assert (before.start, before.end) == (datetime(2026, 3, 8, 9, tzinfo=UTC), datetime(2026, 3, 9, 9, tzinfo=UTC))

    def test_says_nothing_while_nothing_is_complete(self) -> None:
        assert custom(NOW, NOW + HOUR / 2, zone=UTC).compared(now=NOW) is None


class TestCustom:
    def test_reads_times_in_the_readers_zone(self) -> None:
        period = from_query({"from": "2026-03-10T09:00", "to": "2026-03-10T12:00"}, now=NOW, zone=PARIS)
        assert (period.start, period.end) == (
            datetime(2026, 3, 10, 8, tzinfo=UTC),
            datetime(2026, 3, 10, 11, tzinfo=UTC),
        )

    def test_comes_back_from_its_own_url(self) -> None:
        period = custom(NOW - 2 * HOUR, NOW, zone=PARIS)
        assert from_query(dict(parse_qsl(period.query)), now=NOW, zone=PARIS) == period

    @given(
        start=st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)).map(lambda t: t.replace(tzinfo=UTC)),
        length=st.timedeltas(timedelta(seconds=1), timedelta(days=400)),
    )
    def test_always_covers_what_was_asked_for_on_ledger_edges(self, start: datetime, length: timedelta) -> None:
        period = custom(start, start + length, zone=UTC)
        assert period.start <= start and start + length <= period.end
        assert len(period.buckets()) * period.step == period.end - period.start
        edge = DAY if period.grain == "day" else HOUR
        assert (period.start - datetime(2020, 1, 1, tzinfo=UTC)) % edge == timedelta()

    @pytest.mark.parametrize(
        ("query", "why"),
        [
            ({"period": "9y"}, "9y"),
            ({"from": "yesterday", "to": "2026-03-10"}, "yesterday"),
            ({"from": "2026-03-10"}, "''"),
            ({"from": "2026-03-10", "to": "2026-03-09"}, "before it begins"),
            ({"from": "0001-01-01", "to": "9999-12-31"}, "choose dates"),
        ],
    )
    def test_refuses_nonsense_in_words(self, query: dict[str, str], why: str) -> None:
        with pytest.raises(PeriodRefused, match=why):
            from_query(query, now=NOW, zone=UTC)
