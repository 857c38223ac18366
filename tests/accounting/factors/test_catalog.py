"""Every packaged number can be traced, and every fallback shows."""

from datetime import date

import pytest

from accounting.factors import lookup
from accounting.factors.catalog import Catalog, FactorDataError, Row, load_packaged
from accounting.methods.records import Factor, Range, Status

CATALOG = load_packaged()
ROWS = list(CATALOG)
LARGE_GRIDS = "AU BE BR CA CH CL CN DE DK ES FI FR GB ID IE IN IT JP KR MX NL NO PL PT RU SA SE SG TR TW US ZA"


class TestPackagedRows:
    @pytest.mark.parametrize("row", ROWS, ids=lambda row: row.factor.id)
    def test_carries_its_provenance(self, row: Row) -> None:
        factor = row.factor
        assert all((factor.id, factor.unit, factor.source, factor.licence, row.page, row.quantity, row.key, row.note))
        assert factor.url.startswith(("https://", "docs/")) and factor.year and factor.year >= 2000
        assert 0 <= factor.value.low <= factor.value.mid <= factor.value.high
        assert row.valid_from <= date(factor.year, 1, 1) and (row.valid_to is None or row.valid_from < row.valid_to)

    def test_says_where_a_source_was_not_read(self) -> None:
        told = {row.factor.id for row in ROWS if "second-hand:" in row.note}
        assert {"intensity:world:2023", "pue:default:uptime2024", "price:USD:2023", "price:EUR:2023"} <= told
        assert {row.factor.id for row in ROWS if row.quantity == "embodied" and "nvidia" in row.factor.id} <= told

    def test_ids_stand_once(self) -> None:
        assert len({row.factor.id for row in ROWS}) == len(ROWS)

    @pytest.mark.parametrize("zone", LARGE_GRIDS.split(" "))
    def test_knows_the_large_grids(self, zone: str) -> None:
        assert lookup.grid_intensity(CATALOG, zone).status is Status.MODELLED

    def test_knows_every_us_state(self) -> None:
        assert sum(zone.startswith("US-") for zone in CATALOG.keys("grid_intensity")) == 51  # with DC

    def test_yearly_means_span_the_hours_of_a_year(self) -> None:
        spread = CATALOG.get("tolerance", "year_to_hour").value
        for row in ROWS:
            if row.quantity == "grid_intensity" and row.key != lookup.WORLD:
                mid = row.factor.value.mid
                assert row.factor.value.low == pytest.approx(mid * spread.low, abs=0.02)
                assert row.factor.value.high == pytest.approx(mid * spread.high, abs=0.02)

    def test_egrid_is_converted_from_pounds_per_megawatt_hour(self) -> None:
        # Alabama 713.976 lb/MWh x 0.45359237 kg/lb = 323.85 g/kWh
        assert lookup.grid_intensity(CATALOG, "US-AL").value.mid == pytest.approx(323.85, abs=0.01)


class TestLookup:
    def test_an_unknown_part_of_a_country_takes_the_country_more_widely_and_says_so(self) -> None:
        country, part = (lookup.grid_intensity(CATALOG, zone) for zone in ("FR", "fr-idf"))
        assert part.value.mid == country.value.mid and part.status is Status.DEFAULT
        assert part.value.low < country.value.low and part.value.high > country.value.high
        assert part.id == f"{country.id}@unknown-part:FR-IDF"

    @pytest.mark.parametrize("zone", ["", "ZZ", "nowhere"])
    def test_an_unknown_place_takes_the_world_as_a_default(self, zone: str) -> None:
        factor = lookup.grid_intensity(CATALOG, zone)
        assert factor.status is Status.DEFAULT and factor.id.startswith("intensity:world")
        assert factor.value.high > 5 * factor.value.low  # wide: nothing is known of the place

    def test_memory_is_made_by_the_gibibyte(self) -> None:
        got = lookup.embodied(CATALOG, kind="memory", model="", memory_bytes=64 << 30)
        assert got.unit == "kg" and got.value.mid == pytest.approx(64 * 1.39)

    @pytest.mark.parametrize(
        ("kind", "model", "key"),
        [
            ("gpu", "NVIDIA H100 80GB HBM3", "gpu/h100"),
            ("gpu", "NVIDIA A100-SXM4-40GB", "gpu/a100"),
            ("gpu", "RTX A1000", "gpu"),
            ("cpu", "H100", "cpu"),
            ("memory", "", "other"),
            ("toaster", "", "other"),
        ],
    )
    def test_finds_the_model_else_the_kind(self, kind: str, model: str, key: str) -> None:
        got = lookup.embodied(CATALOG, kind=kind, model=model, memory_bytes=None)
        assert got == CATALOG.get("embodied", key)

    def test_a_model_is_less_certain_than_a_sensor_and_a_sensor_than_a_meter(self) -> None:
        def width(metered: bool, measured: bool) -> float:
            value = lookup.reading_tolerance(CATALOG, metered=metered, kind="gpu", measured=measured).value
            return value.high - value.low

        assert width(True, True) < width(False, True) < width(False, False)

    def test_a_currency_without_a_typical_price_is_not_known_and_not_nought(self) -> None:
        assert lookup.price(CATALOG, "JPY") is None and lookup.price_in(CATALOG, "JP", "JPY") is None

    def test_a_place_has_its_own_price_and_an_unknown_part_of_it_the_same_more_widely(self) -> None:
        germany, berlin = (lookup.price_in(CATALOG, zone, "EUR") for zone in ("DE", "DE-BE"))
        assert germany.value.mid == berlin.value.mid == pytest.approx(0.1427) and germany.unit == "EUR/kWh"
        assert berlin.status is Status.DEFAULT and berlin.value.high > germany.value.high
        # EIA, commercial consumers of Virginia in 2023: 8.95 cents
        assert lookup.price_in(CATALOG, "us-va", "USD").value.mid == pytest.approx(0.0895)

    @pytest.mark.parametrize(("zone", "currency"), [("US-WY", "USD"), ("DE", "USD"), ("", "EUR"), ("DE", "JPY")])
    def test_a_place_without_a_price_in_the_currency_takes_the_currencys(self, zone: str, currency: str) -> None:
        assert lookup.price_in(CATALOG, zone, currency) == lookup.price(CATALOG, currency)

    def test_a_drive_has_a_footprint_of_its_kind(self) -> None:
        drive = lookup.embodied(CATALOG, kind="hdd", model="", memory_bytes=None)
        assert drive.id == "embodied:hdd:boaviztapi-doc" and drive.unit == "kg"


def _row(factor_id: str, year: int) -> Row:
    factor = Factor(factor_id, Range.exact(1.0), "1", Status.DEFAULT, "s", year=year)
    return Row(factor, "pue", "default", "p", date(year, 1, 1), None, "n")


class TestCatalog:
    def test_refuses_the_same_fact_twice(self) -> None:
        factor = Factor("x", Range.exact(1.0), "1", Status.DEFAULT, "s")
        row = Row(factor, "pue", "default", "p", date(2024, 1, 1), None, "n")
        with pytest.raises(FactorDataError, match="stands twice"):
            Catalog([row, row])

    def test_refuses_two_rows_of_one_year(self) -> None:
        rows = [_row("x", 2021), _row("y", 2021)]
        with pytest.raises(FactorDataError, match=r"y .*stands twice"):
            Catalog(rows)

    @pytest.mark.parametrize(("year", "answer"), [(None, 2023), (2030, 2023), (2022, 2021), (2021, 2021), (1990, 2019)])
    def test_answers_with_the_year_else_the_nearest_the_earlier_of_two(self, year: int | None, answer: int) -> None:
        book = Catalog([_row("b", 2021), _row("c", 2023), _row("a", 2019)])
        assert book.get("pue", "default", year).year == answer
        assert book.years("pue", "default") == [2019, 2021, 2023]
        assert [row.factor.id for row in book] == ["c", "b", "a"] and book.keys("pue") == ["default"]

    def test_names_what_is_missing(self) -> None:
        with pytest.raises(FactorDataError, match="no factor pue for 'moon'"):
            CATALOG.get("pue", "moon")


class TestYears:
    def test_a_year_has_its_own_factor_and_the_newest_stands_where_none_is_asked(self) -> None:
        # Our World in Data, April 2026: France 78.54 in 2022, the year of the nuclear outages, 41.44 in 2025
        outages, newest = (lookup.grid_intensity(CATALOG, "FR", year) for year in (2022, None))
        assert (outages.id, outages.value.mid) == ("intensity:FR:2022", 78.54)
        assert (newest.id, newest.value.mid) == ("intensity:FR:2025", 41.44)

    def test_a_year_that_is_not_known_takes_the_nearest_and_says_so(self) -> None:
        early, late = (lookup.grid_intensity(CATALOG, "US-CA", year) for year in (2018, 2022))
        assert early.id == "intensity:US-CA:2016@for-year:2018" and early.status is Status.MODELLED
        assert late.id == "intensity:US-CA:2023@for-year:2022" and late.status is Status.DEFAULT

    def test_a_year_after_the_newest_takes_the_newest_as_it_is(self) -> None:
        assert lookup.grid_intensity(CATALOG, "FR", 2026) == lookup.grid_intensity(CATALOG, "FR")
        assert lookup.grid_intensity(CATALOG, "US-CA", 2026).id == "intensity:US-CA:2023"

    def test_a_later_year_that_stands_in_is_a_default(self) -> None:
        factor = lookup.grid_intensity(CATALOG, "CN-GD", 2015)
        assert factor.id == "intensity:CN-GD:2023@for-year:2015" and factor.status is Status.DEFAULT

    def test_an_unknown_part_takes_its_country_of_the_year(self) -> None:
        assert lookup.grid_intensity(CATALOG, "FR-IDF", 2021).id == "intensity:FR:2021@unknown-part:FR-IDF"
        assert lookup.grid_intensity(CATALOG, "ZZ", 2021).id == "intensity:world:2021"

    def test_a_cloud_region_has_its_years_too(self) -> None:
        region = lookup.cloud_region("gcp", "us-central1")
        found = lookup.intensity(CATALOG, provider="gcp", region="us-central1", year=2023)
        assert found.factor.id == "intensity:cloud:gcp:us-central1:2023"
        shares = [lookup.cloud_cfe(CATALOG, region, year) for year in (2023, 2024)]
        assert [s.id for s in shares if s] == [f"cfe:cloud:gcp:us-central1:{year}" for year in (2023, 2024)]

    def test_years_past_end_when_the_next_begins(self) -> None:
        for row in ROWS:
            if row.quantity in ("grid_intensity", "residual_mix", "cloud_grid_intensity") and row.valid_to is not None:
                assert row.valid_to == date(row.valid_from.year + 1, 1, 1)
                assert row.valid_from.year < CATALOG.years(row.quantity, row.key)[-1] or row.key == "NL"


class TestResidualMix:
    def test_is_what_a_country_publishes_for_the_year(self) -> None:
        # AIB, Table 2: Germany 719.90 in 2023, 724.56 in 2024, 701.47 in 2025
        got = [lookup.residual_mix(CATALOG, "DE", year) for year in (2023, 2024, 2025, None)]
        assert [mix.value.mid for mix in got if mix] == [719.90, 724.56, 701.47, 701.47]

    def test_of_a_us_state_is_its_subregions_in_grams(self) -> None:
        # Green-e: Northwest 656.53 lb/MWh x 0.45359237 = 297.80 g/kWh
        oregon = lookup.residual_mix(CATALOG, "us-or")
        assert oregon is not None and oregon.value.mid == pytest.approx(297.80, abs=0.01)
        assert oregon.id == "residual:US-NWPP:2023@subregion-of:US-OR" and oregon.status is Status.MODELLED

    def test_of_a_state_with_several_subregions_spans_them_all(self) -> None:
        virginia = lookup.residual_mix(CATALOG, "US-VA")
        parts = [CATALOG.get("residual_mix", key).value for key in ("US-SRVC", "US-RFCW", "US-RFCE")]
        assert virginia is not None and virginia.status is Status.DEFAULT
        assert virginia.id == "residual:US-SRVC:2023@unknown-subregion:US-VA"
        assert (virginia.value.low, virginia.value.high) == (min(p.low for p in parts), max(p.high for p in parts))

    @pytest.mark.parametrize("zone", ["", "JP", "AT", "US", "US-ZZ", "world"])
    def test_is_not_guessed_where_nobody_publishes_one(self, zone: str) -> None:
        assert lookup.residual_mix(CATALOG, zone) is None

    def test_of_a_part_of_a_country_is_the_countrys_and_says_so(self) -> None:
        part = lookup.residual_mix(CATALOG, "SE-SE3")
        assert part is not None and part.id == "residual:SE:2025@unknown-part:SE-SE3"

    def test_every_state_has_one(self) -> None:
        states = [zone for zone in CATALOG.keys("grid_intensity") if zone.startswith("US-")]
        assert [zone for zone in states if lookup.residual_mix(CATALOG, zone) is None] == []


class TestWaterBehindTheGrid:
    def test_is_the_mix_times_the_median_of_each_fuel(self) -> None:
        # France 2023, TWh x gal/MWh: (335.65 x 672 + 53.19 x 4491 + 31.43 x 205 + 9.71 x 826 + 9.5 x 553
        # + 2.16 x 687 + 23.26 x 1 + 48.61 x 0) / 513.51 = 945.76; x 3.785411784 / 1000 = 3.580 L/kWh
        assert lookup.ewif(CATALOG, "FR").value.mid == pytest.approx(3.580, abs=0.001)

    def test_is_known_for_most_countries_and_published_figures_go_first(self) -> None:
        assert len(CATALOG.keys("ewif")) > 200
        assert lookup.ewif(CATALOG, "IE").id == "ewif:IE:li2025"

    def test_range_is_widest_where_rivers_do_the_work(self) -> None:
        norway, poland = (lookup.ewif(CATALOG, zone).value for zone in ("NO", "PL"))
        assert norway.high / norway.mid > 3.5 > poland.high / poland.mid
