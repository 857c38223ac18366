"""Carbon reports of providers: small files in the documented shape, and what is wrong with others."""

import json
from datetime import date

import pytest

from accounting.factors.places import region_code
from accounting.ingest.formats import vendor_carbon
from accounting.ingest.formats.vendor_records import MOST_BYTES, ReportRefused, VendorFile, version_key

AWS_HEAD = (
    "last_refresh_timestamp,location,model_version,payer_account_id,product_code,region_code,"
    "total_lbm_emissions_unit,total_lbm_emissions_value,total_mbm_emissions_unit,total_mbm_emissions_value,"
)
AWS_SCOPES = "".join(
    f"total_{name}_emissions_unit,total_{name}_emissions_value,"
    for name in ("scope_1", "scope_2_lbm", "scope_2_mbm", "scope_3_lbm", "scope_3_mbm")
)
AWS_TAIL = "usage_account_id,usage_period_end,usage_period_start\n"
AWS_WHEN = "222222222222,2026-02-01 00:00:00Z,2026-01-01 00:00:00Z\n"
GCP_HEAD = (
    "usage_month,billing_account_id,project.id,project.number,service.id,service.description,location.location,"
    "location.region,carbon_model_version,carbon_footprint_kgCO2e.scope1,"
    "carbon_footprint_kgCO2e.scope2.location_based,carbon_footprint_kgCO2e.scope2.market_based,"
    "carbon_footprint_kgCO2e.scope3,carbon_footprint_total_kgCO2e.location_based,"
    "carbon_footprint_total_kgCO2e.market_based\n"
)
GCP_ROW = (
    "2026-01-01,007GD7,vision,8025,F17B,Compute Engine,us-central1-a,us-central1,12,10,400,105.8,986.8,1396.8,1102.6\n"
)


def aws_line(*, version: str = "v3.0.0", region: str = "us-east-1", unit: str = "MTCO2e", lbm: str = "0.6") -> str:
    """0.6 t location-based: 0.05 of scope 1, 0.4 of scope 2, 0.15 of scope 3."""
    place = "US East (N. Virginia)" if region else "Global"
    scopes = "".join(f"MTCO2e,{t}," for t in ("0.05", "0.4", "0.1", "0.15", "0.12"))
    return (
        f'2026-02-20 04:00:00Z,"{place}",{version},111111111111,AmazonEC2,{region},{unit},{lbm},MTCO2e,0.27,{scopes}'
        + AWS_WHEN
    )


def old_aws_line(version: str = "v2.0.0") -> str:
    start = f'2026-02-20 04:00:00Z,"US East (N. Virginia)",{version},111111111111,AmazonEC2,us-east-1,'
    return f"{start}MTCO2e,0.45,MTCO2e,0.15,{AWS_WHEN}"


AWS = AWS_HEAD + AWS_SCOPES + AWS_TAIL
OLD_AWS = AWS_HEAD + AWS_TAIL


def azure(*items: dict[str, object], **around: object) -> str:
    usual = {"dataType": "ItemDetailsData", "categoryType": "Location", "previousMonthEmissions": 1.0}
    return json.dumps({"value": [usual | item for item in items], "skipToken": "", **around})


EAST = {"itemName": "East US", "latestMonthEmissions": 120.5}


def read(text: str, **said: object) -> VendorFile:
    return vendor_carbon.parse(text.encode(), region_key=region_code, **said)


def refusal(text: str, **said: object) -> str:
    with pytest.raises(ReportRefused) as caught:
        read(text, **said)
    return str(caught.value)


def error_of(text: str, **said: object) -> str:
    found = read(text, **said)
    assert found.wrong == 1
    return str(found.errors[0])


class TestAws:
    def test_reads_tonnes_as_kilograms_scope_by_scope(self) -> None:
        (record,) = read(AWS + aws_line()).records
        assert (record.provider, record.month, record.account) == ("aws", date(2026, 1, 1), "222222222222")
        assert (record.region, record.service, record.model_version) == ("us-east-1", "AmazonEC2", "v3.0.0")
        assert (record.scope1_kg, record.scope2_location_kg, record.scope2_market_kg) == (50.0, 400.0, 100.0)
        assert (record.scope3_kg, record.scope3_market_kg) == (150.0, 120.0)
        assert (record.total_location_kg, record.total_market_kg, record.scopes) == (600.0, 270.0, "1,2,3")

    def test_reads_older_files_of_totals_only_and_says_so(self) -> None:
        found = read(OLD_AWS + old_aws_line())
        (record,) = found.records
        assert (record.total_location_kg, record.scope2_location_kg, record.scopes) == (450.0, None, "1,2")
        assert found.notes == ("The file tells totals only: no split by scope.",)

    def test_keeps_both_versions_of_a_month_and_says_that_the_newest_counts(self) -> None:
        found = read(AWS + aws_line() + aws_line(version="v2.0.0"))
        assert len(found.records) == 2
        assert "2026-01 is told by versions v2.0.0, v3.0.0" in found.notes[0] and "newest" in found.notes[0]

    def test_puts_services_without_a_region_under_global(self) -> None:
        assert read(AWS + aws_line(region="")).records[0].region == "global"

    @pytest.mark.parametrize("unit", ["kgCO2e", "", "lbCO2e"])
    def test_refuses_a_unit_that_it_does_not_know_by_name(self, unit: str) -> None:
        error = error_of(AWS + aws_line(unit=unit))
        assert error.startswith(f"line 2: total_lbm_emissions_unit is {unit!r}") and "MTCO2e" in error

    @pytest.mark.parametrize(("value", "words"), [("-1", "from nought on"), ("many", "a number"), ("1e300", "unit")])
    def test_names_line_column_and_value_of_a_wrong_figure(self, value: str, words: str) -> None:
        error = error_of(AWS + aws_line(lbm=value))
        assert error.startswith(f"line 2: total_lbm_emissions_value is {value!r}") and words in error

    def test_refuses_a_line_with_a_comma_too_many(self) -> None:
        assert refusal(AWS + aws_line(lbm="1,5")).startswith("line 2: 24 cells, the header has 23")

    def test_takes_an_empty_figure_for_not_told(self) -> None:
        assert read(AWS + aws_line(lbm="")).records[0].total_location_kg is None

    def test_refuses_what_is_not_a_calendar_month(self) -> None:
        assert "usage_period_end is" in error_of(AWS + aws_line().replace("2026-02-01", "2026-03-01"))
        assert "the first of one" in error_of(AWS + aws_line().replace("2026-01-01 00", "2026-01-15 00"))

    def test_refuses_the_same_line_twice(self) -> None:
        again = aws_line(lbm="0.7").replace("2026-02-20", "2026-03-20")  # refreshed later
        assert error_of(AWS + aws_line() + again) == "line 3: tells of the same as line 2: keep one of them"

    def test_names_missing_columns(self) -> None:
        assert "no column usage_period_end" in refusal((AWS + aws_line()).replace("usage_period_end", "ended"))


class TestGoogleCloud:
    def expect(self, found: VendorFile) -> None:
        (record,) = found.records
        assert (record.provider, record.month, record.account) == ("gcp", date(2026, 1, 1), "vision")
        assert (record.region, record.service, record.model_version) == ("us-central1", "Compute Engine", "12")
        assert (record.scope1_kg, record.scope2_location_kg, record.scope2_market_kg) == (10.0, 400.0, 105.8)
        assert (record.scope3_kg, record.total_location_kg, record.total_market_kg) == (986.8, 1396.8, 1102.6)

    def test_reads_dotted_and_underscored_columns_alike(self) -> None:
        self.expect(read(GCP_HEAD + GCP_ROW))
        self.expect(read(GCP_HEAD.replace(".", "_") + GCP_ROW))

    def test_reads_json_lines_and_a_json_list(self) -> None:
        row = {
            "usage_month": "2026-01-01", "billing_account_id": "007GD7", "carbon_model_version": "12",
            "project": {"id": "vision", "number": "8025"},
            "location": {"location": "us-central1-a", "region": "us-central1"},
            "service": {"id": "F17B", "description": "Compute Engine"},
            "carbon_footprint_kgCO2e": {
                "scope1": 10, "scope2": {"location_based": 400.0, "market_based": "105.8"}, "scope3": 986.8,
            },
            "carbon_footprint_total_kgCO2e": {"location_based": 1396.8, "market_based": 1102.6, "after_offsets": None},
        }  # fmt: skip
        self.expect(read(json.dumps(row) + "\n"))
        self.expect(read(json.dumps([row], indent=1)))

    def test_takes_the_number_of_a_project_that_has_lost_its_name(self) -> None:
        assert read(GCP_HEAD + GCP_ROW.replace("vision", "")).records[0].account == "8025"

    def test_refuses_a_line_without_any_figure_and_a_wrong_month(self) -> None:
        head, _, _ = GCP_ROW.partition(",10,400")
        assert "tells no figure" in error_of(GCP_HEAD + head + ",,,,,,\n")
        assert "write a month like 2026-01-01" in error_of(GCP_HEAD + GCP_ROW.replace("2026-01-01", "January"))

    def test_names_the_line_of_broken_json(self) -> None:
        good = json.dumps({"usage_month": "2026-01-01", "carbon_model_version": "1", "location": {"region": "x"}})
        assert refusal(f"{good}\n{{oops\n").startswith("line 2: no JSON")


class TestAzure:
    JANUARY = date(2026, 1, 1)

    def test_finds_the_region_of_a_written_name_and_files_the_figure_under_what_was_stated(self) -> None:
        for stated, column in (("1", "scope1_kg"), ("2-market", "scope2_market_kg"), ("Scope3", "scope3_kg"),
                               ("1,2-location,3", "total_location_kg")):  # fmt: skip
            (record,) = read(azure(EAST), month=self.JANUARY, scopes=stated).records
            assert (record.region, record.month) == ("eastus", self.JANUARY)
            assert getattr(record, column) == 120.5

    def test_does_not_guess_what_nobody_stated(self) -> None:
        found = read(azure(EAST), month=self.JANUARY)
        assert found.records[0].unstated_kg == 120.5 and found.records[0].total_location_kg is None
        assert "Nobody stated which scopes" in found.notes[0]
        assert "location- or market-based" in refusal(azure(EAST), month=self.JANUARY, scopes="1,2,3")

    def test_takes_the_month_of_the_answer_or_the_one_stated_but_never_two(self) -> None:
        dated = EAST | {"dataType": "TopItemsMonthlySummaryData", "date": "2026-01-01"}
        assert read(azure(dated)).records[0].month == self.JANUARY
        assert "2026-02 was stated" in error_of(azure(dated), month=date(2026, 2, 1))
        assert "state it at import" in error_of(azure(EAST))

    def test_refuses_other_categories_and_reports(self) -> None:
        assert "tells no region" in error_of(azure(EAST | {"categoryType": "Resource"}), month=self.JANUARY)
        assert "ItemDetailsReport" in error_of(azure(EAST | {"dataType": "OverallSummaryData"}), month=self.JANUARY)

    def test_refuses_one_page_of_several_and_tells_of_denied_subscriptions(self) -> None:
        assert "more pages follow" in refusal(azure(EAST, skipToken="abc"), month=self.JANUARY)
        denied = [{"subscriptionId": "x", "decision": "Denied"}, {"subscriptionId": "y", "decision": "Allowed"}]
        found = read(azure(EAST, subscriptionAccessDecisionList=denied), month=self.JANUARY, scopes="3")
        assert found.notes == ("Azure denied access to 1 of the subscriptions: they are not in the figures.",)

    def test_reads_a_csv_of_the_same_fields(self) -> None:
        found = read(
            "itemName,categoryType,latestMonthEmissions,date\nWest Europe,Location,7.25,2026-01-01\n", scopes="3"
        )
        assert (found.records[0].region, found.records[0].scope3_kg) == ("westeurope", 7.25)


class TestAnyFile:
    @pytest.mark.parametrize(
        ("body", "words"),
        [
            (b"\x1f\x8b\x08\x00", "gunzip"), (b"PAR1....", "Parquet"), (b"a,b\n\xff\xfe", "UTF-8"), (b"  \n", "empty"),
            (b"a,b\n1,2\n", "no provider's columns"), (b"a,a\n", "stands there twice"), (b'a,"b\n1,2', "no CSV"),
            (b"[1, 2]", "item 1 is no object"), (b"x" * (MOST_BYTES + 1), "split it by month"),
        ],
    )  # fmt: skip
    def test_is_refused_with_what_to_do(self, body: bytes, words: str) -> None:
        with pytest.raises(ReportRefused, match=words):
            vendor_carbon.parse(body, region_key=region_code)

    def test_is_recognised_and_a_wrong_statement_is_refused(self) -> None:
        assert read("\ufeff" + GCP_HEAD + GCP_ROW).provider == "gcp"
        assert "AWS was stated" in refusal(GCP_HEAD + GCP_ROW, provider="aws")
        assert "is none of aws, gcp, azure" in refusal(GCP_HEAD + GCP_ROW, provider="oracle")
        assert "state neither" in refusal(GCP_HEAD + GCP_ROW, scopes="3")

    def test_may_not_hold_what_no_database_keeps_as_text(self) -> None:
        for letter in ("\\u0000", "\\ud800"):
            text = azure(EAST | {"itemName": "East"}).replace("East", f"East{letter}")
            assert "no text" in error_of(text, month=date(2026, 1, 1))

    def test_tells_the_first_errors_and_counts_all(self) -> None:
        found = read(GCP_HEAD + GCP_ROW.replace("2026-01-01", "x") * 30)
        assert (len(found.errors), found.wrong, found.records) == (20, 30, ())

    def test_versions_are_ordered_by_their_numbers(self) -> None:
        assert sorted(["v10", "v9.1", "v9", ""], key=version_key) == ["", "v9", "v9.1", "v10"]
