"""Time-of-use prices: bands cover a week exactly, and the clock at the site decides, on short and long days too."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from accounting.methods.tariff import Band, TariffRefused, bands_in_hour, check_cover

WORK, WEEKEND, DAILY = frozenset(range(1, 6)), frozenset((6, 7)), frozenset(range(1, 8))
YEAR = frozenset(range(1, 13))
PARIS, KOLKATA, LORD_HOWE = ZoneInfo("Europe/Paris"), ZoneInfo("Asia/Kolkata"), ZoneInfo("Australia/Lord_Howe")
NIGHT_AND_DAY = [Band("night", DAILY, YEAR, 0, 6 * 60, 0.10), Band("day", DAILY, YEAR, 6 * 60, 1440, 0.30)]
WEEK = [
    Band("night", WORK, YEAR, 0, 420, 0.10),
    Band("peak", WORK, YEAR, 420, 1200, 0.40),
    Band("evening", WORK, YEAR, 1200, 1440, 0.20),
    Band("weekend", WEEKEND, YEAR, 0, 1440, 0.15),
]


def hours_of_day(zone: ZoneInfo, *day: int) -> list[datetime]:
    """The UTC hours of a local day."""
    start = datetime(*day, tzinfo=zone).astimezone(UTC)
    end = (datetime(*day, tzinfo=zone) + timedelta(days=1)).astimezone(UTC)  # wall-clock arithmetic
    return [start + timedelta(hours=n) for n in range((end - start) // timedelta(hours=1))]


def held(bands: list[Band], hours: list[datetime], zone: ZoneInfo) -> dict[str, float]:
    sums: dict[str, float] = {}
    for hour in hours:
        for band, share in bands_in_hour(bands, hour, zone):
            sums[band.name] = sums.get(band.name, 0.0) + share
    return sums


class TestBandsInHour:
    def test_finds_the_band_by_the_clock_at_the_site(self) -> None:
        # Monday 2 March 2026, 06:00 UTC is 07:00 in Paris: the peak begins. 18:59 UTC is 19:59, 19:00 UTC the evening.
        names = [
            bands_in_hour(WEEK, datetime(2026, 3, 2, hour, tzinfo=UTC), PARIS)[0][0].name for hour in (5, 6, 18, 19)
        ]
        assert names == ["night", "peak", "peak", "evening"]

    def test_shares_an_hour_between_bands_where_the_clock_is_half_an_hour_off(self) -> None:
        # 00:00 UTC is 05:30 in Kolkata: half an hour of night, half of day
        assert held(NIGHT_AND_DAY, [datetime(2026, 3, 2, tzinfo=UTC)], KOLKATA) == {"night": 0.5, "day": 0.5}

    @pytest.mark.parametrize(
        ("day", "length", "night"),
        [((2026, 3, 28), 24, 6.0), ((2026, 3, 29), 23, 5.0), ((2026, 10, 25), 25, 7.0)],
        ids=["an ordinary day", "the clock goes forward at 02:00", "the clock goes back at 03:00"],
    )
    def test_a_day_of_23_or_25_hours_loses_or_gains_its_hour_at_night(
        self, day: tuple[int, int, int], length: int, night: float
    ) -> None:
        hours = hours_of_day(PARIS, *day)
        got = held(NIGHT_AND_DAY, hours, PARIS)
        assert len(hours) == length and got == {"night": night, "day": 18.0}

    def test_a_clock_that_moves_by_half_an_hour_keeps_the_sum(self) -> None:
        hours = [datetime(2026, 4, 4, 0, tzinfo=UTC) + timedelta(hours=n) for n in range(48)]
        assert sum(held(NIGHT_AND_DAY, hours, LORD_HOWE).values()) == pytest.approx(48.0)

    @pytest.mark.parametrize("zone", ["Europe/Paris", "America/St_Johns", "Asia/Kathmandu", "Pacific/Auckland"])
    def test_the_shares_of_every_hour_of_a_year_add_up_to_one(self, zone: str) -> None:
        first = datetime(2026, 1, 1, tzinfo=UTC)
        for n in range(0, 8760, 7):
            shares = bands_in_hour(WEEK, first + timedelta(hours=n), ZoneInfo(zone))
            assert sum(share for _, share in shares) == pytest.approx(1.0)


class TestCheckCover:
    def test_takes_bands_that_cover_every_week_of_the_year_once(self) -> None:
        check_cover(WEEK)
        winter, summer = frozenset((10, 11, 12, 1, 2, 3)), frozenset(range(4, 10))
        check_cover([Band("winter", DAILY, winter, 0, 1440, 0.3), Band("summer", DAILY, summer, 0, 1440, 0.2)])

    def test_names_both_bands_where_two_hold(self) -> None:
        with pytest.raises(TariffRefused, match=r"night and early both hold on Mon in Jan, 05:00 to 07:00"):
            check_cover([*WEEK, Band("early", frozenset((1,)), YEAR, 300, 480, 0.5)])

    def test_names_the_day_and_the_time_where_none_holds(self) -> None:
        with pytest.raises(TariffRefused, match=r"no band holds on Sat in Jan, 00:00 to 24:00"):
            check_cover(WEEK[:3])
        with pytest.raises(TariffRefused, match=r"no band holds on Mon in Jan, 20:00 to 24:00"):
            check_cover([WEEK[0], WEEK[1], WEEK[3]])
        with pytest.raises(TariffRefused, match=r"no band holds on Mon in Feb"):
            check_cover([Band("january", DAILY, frozenset((1,)), 0, 1440, 0.3)])

    @pytest.mark.parametrize(
        ("band", "words"),
        [
            (Band("late", DAILY, YEAR, 1320, 360, 0.1), "late: from 22:00 to 06:00 is no stretch of a day"),
            (Band("never", frozenset(), YEAR, 0, 1440, 0.1), "never: say on which days"),
            (Band("long", DAILY, YEAR, 0, 1500, 0.1), "long: from 00:00 to 25:00"),
        ],
    )
    def test_refuses_a_band_that_is_none(self, band: Band, words: str) -> None:
        with pytest.raises(TariffRefused, match=words):
            check_cover([band])
