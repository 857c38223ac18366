"""What is peculiar to one provider."""

import json
from typing import Any

import pytest

from accounting.factors.catalog import load_packaged
from accounting.factors.places import entsoe_areas
from accounting.factors.providers import eia, entsoe, uk_carbon_intensity
from accounting.factors.providers.base import EmissionBasis, WrongSchema
from accounting.factors.providers.client import Refused, Response
from accounting.factors.providers.mix import intensity_of_mix
from tests.accounting.factors.providers.cases import CASES, PROVIDERS, Scripted, ask, client, recorded

CATALOG = load_packaged()
FRANCE = "10YFR-RTE------C"


class TestElectricityMaps:
    def test_asks_past_range_for_more_than_a_day_and_sends_the_key_as_a_header_only(self) -> None:
        transport = Scripted({"/past-range": recorded("electricity_maps_past_range.json")})
        values = PROVIDERS["electricity-maps"].fetch(ask("FR", 48), key="k3y", client=client(transport))
        url, headers = transport.asked[0]
        assert headers["auth-token"] == "k3y" and "k3y" not in url
        assert "emissionFactorType=lifecycle" in url and "shouldUseFallbackCallerLookup=false" in url
        assert len(values) == 4

    def test_falls_back_to_the_last_day_where_the_key_is_a_free_one(self) -> None:
        answers = {"/past-range": Response(403, b""), "/history": recorded("electricity_maps_history.json")}
        transport = Scripted(answers)
        values = PROVIDERS["electricity-maps"].fetch(ask("FR", 48), key="k3y", client=client(transport))
        assert [url.split("?")[0].rpartition("/")[2] for url, _ in transport.asked] == ["past-range", "history"]
        assert len(values) == 4

    def test_does_not_fall_back_where_the_zone_is_unknown(self) -> None:
        transport = Scripted({"/past-range": Response(404, b"")})
        with pytest.raises(Refused, match="no such place"):
            PROVIDERS["electricity-maps"].fetch(ask("XX", 48), key="k3y", client=client(transport))

    def test_refuses_factors_of_another_basis_than_was_asked_for(self) -> None:
        body = recorded("electricity_maps_history.json").replace(b'"lifecycle"', b'"direct"')
        with pytest.raises(WrongSchema, match="asked for lifecycle"):
            PROVIDERS["electricity-maps"].fetch(ask("FR"), key="k", client=client(Scripted({"/history": body})))


class TestWattTime:
    def test_logs_in_with_user_and_password_and_asks_with_the_token(self) -> None:
        transport = Scripted(CASES["watttime"].answers)
        PROVIDERS["watttime"].fetch(ask("CAISO_NORTH"), key="ada:pw", client=client(transport))
        (_, login), (url, asked) = transport.asked
        assert login["Authorization"] == "Basic YWRhOnB3" and asked["Authorization"] == "Bearer a-session-token"
        assert "signal_type=co2_moer" in url

    def test_refuses_another_unit(self) -> None:
        body = recorded("watttime_historical.json").replace(b"lbs_co2_per_mwh", b"kg_co2_per_mwh")
        answers = {**CASES["watttime"].answers, "/v3/historical": body}
        with pytest.raises(WrongSchema, match=r"meta\.units"):
            PROVIDERS["watttime"].fetch(ask("CAISO_NORTH"), key="a:b", client=client(Scripted(answers)))


class TestUk:
    def test_takes_two_values_for_the_same_half_hour_for_an_error(self) -> None:
        answer = json.loads(recorded("uk_carbon_intensity.json"))
        answer["data"].append(answer["data"][1])
        with pytest.raises(WrongSchema, match="two values"):
            uk_carbon_intensity.parse(json.dumps(answer).encode(), ask("GB"))


class TestEia:
    def rows(self, **changes: Any) -> list[dict[str, Any]]:
        rows, _ = eia.rows_and_total(recorded("eia_fuel_type_data.json"))
        return [{**row, **changes} for row in rows]

    def test_reads_on_until_all_pages_are_there(self) -> None:
        answer = json.loads(recorded("eia_fuel_type_data.json"))
        rows = answer["response"]["data"]
        pages = [{"response": {"total": len(rows), "data": part}} for part in (rows[:5], rows[5:])]
        answers = {"offset=0&": json.dumps(pages[0]).encode(), "offset=5000&": json.dumps(pages[1]).encode()}
        values = PROVIDERS["eia"].fetch(ask("CISO"), key="k", client=client(Scripted(answers)))
        assert values == CASES["eia"].fetch()

    def test_counts_a_fuel_that_it_does_not_know_as_other(self) -> None:
        rows = [{**self.rows()[0], "fueltype": "NEW", "value": "10"}]
        direct, lifecycle = eia.parse(rows, ask("CISO"), CATALOG)
        assert (direct.g_per_kwh, lifecycle.g_per_kwh) == (370.0, 490.0)

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"period": "2026-01-01"}, "is not like"),
            ({"value-units": "gigawatthours"}, "not megawatthours"),
            ({"fueltype": "NG", "period": "2026-01-01T01"}, "stands twice"),
            ({"value": "many"}, "expected a number"),
        ],
    )
    def test_refuses_by_name(self, changes: dict[str, Any], words: str) -> None:
        with pytest.raises(WrongSchema, match=words):
            eia.parse(self.rows(**changes), ask("CISO"), CATALOG)


class TestEntsoe:
    def test_takes_no_matching_data_for_no_hours(self) -> None:
        assert entsoe.parse(recorded("entsoe_nothing.xml"), ask(FRANCE), CATALOG) == []

    def test_takes_it_so_too_where_it_comes_as_a_bad_request(self) -> None:
        transport = Scripted({"/api": Response(400, recorded("entsoe_nothing.xml"))})
        assert PROVIDERS["entsoe"].fetch(ask(FRANCE), key="k", client=client(transport)) == []

    def test_repeats_other_reasons(self) -> None:
        body = recorded("entsoe_nothing.xml").replace(b"999", b"401").replace(b"No matching data", b"Unauthorized")
        with pytest.raises(WrongSchema, match="reason 401: Unauthorized"):
            entsoe.parse(body, ask(FRANCE), CATALOG)

    @pytest.mark.parametrize(
        "declared",
        [
            b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>',
            b'<!DOCTYPE x SYSTEM "https://example.org/x.dtd">',
            b"<!DOCTYPE x>",
        ],
    )
    def test_refuses_documents_that_declare_entities_or_types(self, declared: bytes) -> None:
        head, _, rest = recorded("entsoe_a75.xml").partition(b"?>\n")
        with pytest.raises(WrongSchema, match="document type or an entity"):
            entsoe.parse(head + b"?>\n" + declared + rest, ask(FRANCE), CATALOG)

    def test_refuses_deep_nesting_and_long_periods(self) -> None:
        with pytest.raises(WrongSchema, match="nested deeper"):
            entsoe.parse(b"<a>" * 40 + b"</a>" * 40, ask(FRANCE), CATALOG)
        body = recorded("entsoe_a75.xml").replace(b"<end>2026-01-01T05:00Z", b"<end>2926-01-01T05:00Z")
        with pytest.raises(WrongSchema, match="longer than was asked for"):
            entsoe.parse(body, ask(FRANCE), CATALOG)

    def test_leaves_what_pumps_draw_out(self) -> None:
        body = recorded("entsoe_a75.xml").replace(b"<quantity>500<", b"<quantity>99999<")
        assert entsoe.parse(body, ask(FRANCE), CATALOG) == CASES["entsoe"].fetch()

    def test_takes_a_fuel_that_ended_at_nought_for_nought(self) -> None:
        hours = {value.hour.hour for value in entsoe.parse(recorded("entsoe_a75.xml"), ask(FRANCE, 5), CATALOG)}
        assert hours == {0, 1, 3, 4}  # solar, told 0 MW at 3, is silent at 4

    def test_knows_an_eic_code_by_its_check_character(self) -> None:
        assert all(entsoe.is_eic(code) for code in entsoe_areas().values()) and len(entsoe_areas()) > 30
        for wrong in ("10YFR-RTE------D", "10YRF-RTE------C", "10YFR-RTE-----C", "10yfr-rte------c", ""):
            assert not entsoe.is_eic(wrong)

    def test_names_areas_of_zones_that_sites_can_state(self) -> None:
        assert [zone for zone in entsoe_areas() if CATALOG.find("grid_intensity", zone) is None] == []


class TestUsualAreas:
    def test_are_given_where_the_names_are_the_same_and_nowhere_else(self) -> None:
        usual = {
            name: [provider.usual_area(zone) for zone in ("FR", "GB", "US-CA")] for name, provider in PROVIDERS.items()
        }
        assert usual == {
            "electricity-maps": ["FR", "GB", ""], "uk-carbon-intensity": ["", "GB", ""], "entsoe": [FRANCE, "", ""],
            "eia": ["", "", ""], "watttime": ["", "", ""],
        }  # fmt: skip


class TestMix:
    def test_weights_each_fuel_by_what_it_generated(self) -> None:
        # (100 x 760 + 300 x 370 + 600 x 0) / 1000
        mix = {"coal": 100.0, "gas": 300.0, "wind": 600.0, "storage": 400.0}
        assert intensity_of_mix(mix, CATALOG, EmissionBasis.DIRECT) == pytest.approx(187.0)

    def test_lies_between_its_fuels_and_knows_nothing_of_an_idle_grid(self) -> None:
        assert intensity_of_mix({"gas": 7.0}, CATALOG, EmissionBasis.DIRECT) == pytest.approx(370.0)
        assert intensity_of_mix({"gas": 0.0, "storage": 5.0}, CATALOG, EmissionBasis.DIRECT) is None

    def test_every_fuel_of_every_provider_has_both_factors(self) -> None:
        for fuel in {*eia.FUELS.values(), *entsoe.FUELS.values()} - {"storage"}:
            for basis in EmissionBasis:
                assert intensity_of_mix({fuel: 1.0}, CATALOG, basis) is not None
