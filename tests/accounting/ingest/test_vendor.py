"""Reports are stored whole and once; of several deliveries of a month the newest method counts, and the rest stays."""

from datetime import UTC, date, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from accounting.factors.places import region_code
from accounting.ingest.formats import vendor_carbon
from accounting.ingest.vendor import NothingToStore, Stored, delete_report, store_report
from accounting.models import AuditEntry, VendorFootprint, VendorReport
from tests.accounting.ingest.formats.test_vendor_carbon import AWS, EAST, GCP_HEAD, aws_line, azure

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 1, tzinfo=UTC)
JANUARY = date(2026, 1, 1)


def store(text: str, *, name: str = "report.csv", days: int = 0, **said: object) -> Stored:
    found = vendor_carbon.parse(text.encode(), region_key=region_code, **said)
    return store_report(found, text.encode(), file_name=name, imported_by="root", now=NOW + timedelta(days=days))


def counting() -> list[tuple[str, float | None]]:
    rows = VendorFootprint.objects.filter(counts=True).order_by("model_version", "total_location_kg")
    return list(rows.values_list("model_version", "total_location_kg"))


def states() -> list[str]:
    return list(VendorReport.objects.order_by("pk").values_list("state", flat=True))


class TestStoreReport:
    def test_keeps_every_row_with_its_report(self) -> None:
        stored = store(AWS + aws_line() + aws_line(region="eu-west-1"))
        assert (stored.new, stored.rows, stored.counting, stored.replaced) == (True, 2, 2, 0)
        row = VendorFootprint.objects.get(region="eu-west-1")
        assert (row.report, row.month, row.scope1_kg, row.scope3_market_kg) == (stored.report, JANUARY, 50.0, 120.0)
        assert (stored.report.imported_by, stored.report.provider, len(stored.report.sha256)) == ("root", "aws", 64)

    def test_takes_the_same_content_once_whatever_its_name(self) -> None:
        store(AWS + aws_line())
        again = store(AWS + aws_line(), name="copy.csv", days=1)
        assert not again.new and "report.csv" in again.words
        assert VendorReport.objects.count() == VendorFootprint.objects.count() == 1

    def test_stores_nothing_of_a_file_with_one_wrong_line(self) -> None:
        with pytest.raises(NothingToStore, match="1 wrong lines"):
            store(AWS + aws_line() + aws_line(lbm="x"))
        assert not VendorReport.objects.exists()

    def test_counts_the_newest_version_within_a_file(self) -> None:
        assert store(AWS + aws_line() + aws_line(version="v2.0.0", lbm="0.5")).counting == 1
        assert counting() == [("v3.0.0", 600.0)] and states() == ["partly"]


class TestDeliveredAgain:
    def test_a_newer_version_replaces_the_month_and_keeps_the_earlier_report(self) -> None:
        store(AWS + aws_line(version="v2.0.0", lbm="0.5"))
        assert store(AWS + aws_line(), days=1).replaced == 1
        assert counting() == [("v3.0.0", 600.0)] and states() == ["replaced", "counts"]
        assert VendorFootprint.objects.count() == 2

    def test_an_older_version_that_comes_later_does_not_count(self) -> None:
        store(AWS + aws_line())
        late = store(AWS + aws_line(version="v2.9", lbm="0.5"), days=1)
        assert (late.counting, late.replaced) == (0, 0) and counting() == [("v3.0.0", 600.0)]

    def test_a_correction_of_the_same_version_replaces_all_of_its_accounts_month(self) -> None:
        store(AWS + aws_line() + aws_line(region="eu-west-1"))
        store(AWS + aws_line(lbm="0.7"), days=1)
        assert counting() == [("v3.0.0", 700.0)]

    def test_leaves_other_accounts_and_months_alone(self) -> None:
        other = aws_line(lbm="0.8").replace("222222222222", "333333333333")
        store(AWS + aws_line() + other)
        store(AWS + aws_line(lbm="0.7"), days=1)
        assert counting() == [("v3.0.0", 700.0), ("v3.0.0", 800.0)] and states() == ["partly", "counts"]

    def test_azures_scopes_stand_beside_each_other(self) -> None:
        for days, (scope, kg) in enumerate(
            (("1", 1.0), ("2-location", 2.0), ("2-market", 3.0), ("3", 4.0), ("3", 5.0))
        ):
            store(azure(EAST | {"latestMonthEmissions": kg}), days=days, month=JANUARY, scopes=scope)
        kept = VendorFootprint.objects.filter(counts=True).order_by("scopes")
        columns = ("scope1_kg", "scope2_location_kg", "scope2_market_kg", "scope3_kg")
        assert list(kept.values_list(*columns)) == [
            (1.0, None, None, None), (None, 2.0, None, None), (None, None, 3.0, None), (None, None, None, 5.0),
        ]  # fmt: skip


class TestDeleteReport:
    def test_lets_what_it_had_replaced_count_again(self) -> None:
        store(AWS + aws_line(version="v2.0.0", lbm="0.5"))
        delete_report(store(AWS + aws_line(), days=1).report)
        assert counting() == [("v2.0.0", 500.0)] and states() == ["counts"]


class TestCommand:
    def run(self, file: Path, *arguments: str) -> str:
        out = StringIO()
        call_command("import_vendor_report", str(file), *arguments, stdout=out)
        return out.getvalue()

    def test_imports_once_and_leaves_a_trail(self, tmp_path: Path) -> None:
        (file := tmp_path / "aws.csv").write_text(AWS + aws_line())
        assert "1 rows, 1 of them count" in self.run(file)
        assert "nothing changed" in self.run(file)
        assert AuditEntry.objects.get().action == "vendor.imported"

    def test_only_reads_when_asked_to(self, tmp_path: Path) -> None:
        (file := tmp_path / "azure.json").write_text(azure(EAST))
        said = self.run(file, "--month", "2026-01", "--scopes", "2-market", "--dry-run")
        assert said == "1 rows of azure can be read: 2026-01\n" and not VendorReport.objects.exists()

    def test_says_what_is_wrong_and_changes_nothing(self, tmp_path: Path) -> None:
        (file := tmp_path / "gcp.csv").write_text(GCP_HEAD + "x,,,,,,,,1,1,1,1,1,1,1\n")
        with pytest.raises(CommandError, match="line 2: usage_month is 'x'"):
            self.run(file)
        with pytest.raises(CommandError, match="write it like 2026-01"):
            self.run(file, "--month", "January")
        with pytest.raises(CommandError, match="No such file"):
            self.run(tmp_path / "none.csv")
        assert not VendorReport.objects.exists()
