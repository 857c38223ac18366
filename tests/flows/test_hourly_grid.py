"""An imported hourly series moves exactly the hours it tells of, and comes to the sum worked by hand."""

from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from accounting.ledger.rebuild import rebuild_dirty, rebuild_everything
from accounting.models import AuditEntry, DirtyHour, GridHour, LedgerHour, TeamDay
from tests.accounting.ledger.rows import EIGHT, HOUR, NOON, a_device, a_site, ledger, post

pytestmark = pytest.mark.django_db
HEAD = "# unit: g/kWh\n# basis: lifecycle\ndatetime,zone,value\n"
FRANCE_2025 = 41.44  # the newest yearly zone, in accounting/factors/data/grid_intensity_years.csv


@pytest.fixture
def three_hours() -> None:
    """1, 2 and 3 kW for an hour each, at a PUE of exactly 2 as stated: 2, 4 and 6 kWh at the wall."""
    machine = a_device("node", site=a_site("paris", grid_zone="FR", pue=2.0), kind="node")
    for hour in range(3):
        seconds = range(0, 3600, 60) if hour < 2 else range(0, 3601, 60)
        post(machine, seconds, 1000.0 * (hour + 1), start=EIGHT + hour * HOUR)
    drain()


def drain() -> None:
    while rebuild_dirty(now=NOON):
        pass


def imported(tmp_path: Path, lines: str, *options: str) -> None:
    file = tmp_path / "hours.csv"
    file.write_text(HEAD + lines)
    call_command("grid_import", "--file", str(file), *options)


def rows() -> list[LedgerHour]:
    return list(LedgerHour.objects.filter(hour__lt=EIGHT + 3 * HOUR).order_by("hour"))


@pytest.mark.usefixtures("three_hours")
class TestImportedSeries:
    def test_comes_to_the_sum_of_hours_times_intensity_and_says_where_it_fell_back(self, tmp_path: Path) -> None:
        imported(tmp_path, "2026-03-02T08:00Z,FR,40\n2026-03-02T10:00Z,FR,90\n")
        drain()
        first, second, third = rows()
        energy = [row.facility_energy_kwh for row in (first, second, third)]
        # each edge between two hours is a straight line over one minute: 1 kW to 2 kW adds 1000 / 2 W x 60 s to hour 8
        assert energy == pytest.approx([2 * (1.0 + 0.5 / 60), 2 * (2.0 + 0.5 / 60), 2 * 3.0], rel=1e-9)
        assert first.co2e_location_g == pytest.approx(energy[0] * 40)
        assert second.co2e_location_g == pytest.approx(energy[1] * FRANCE_2025, rel=1e-3)
        assert third.co2e_location_g == pytest.approx(6 * 90)  # 6 kWh x 90 g/kWh = 540 g
        assert [row.intensity_step for row in (first, second, third)] == ["hourly zone", "yearly zone", "hourly zone"]
        assert "grid:csv:FR:2026-03-02T08Z" in first.factor_ids
        day = TeamDay.objects.get()
        assert day.co2e_location_g == pytest.approx(sum(row.co2e_location_g for row in rows()))

    def test_replacing_an_hour_restates_exactly_that_hour(self, tmp_path: Path) -> None:
        imported(tmp_path, "2026-03-02T08:00Z,FR,40\n2026-03-02T09:00Z,FR,50\n2026-03-02T10:00Z,FR,90\n")
        drain()
        before = rows()
        imported(tmp_path, "2026-03-02T08:00Z,FR,40\n2026-03-02T09:00Z,FR,55\n2026-03-02T10:00Z,FR,90\n")
        assert list(DirtyHour.objects.values_list("hour", flat=True)) == [EIGHT + HOUR]
        drain()
        after = rows()
        assert [a.pk == b.pk for a, b in zip(after, before, strict=True)] == [True, False, True]
        assert after[1].co2e_location_g == pytest.approx(before[1].co2e_location_g * 55 / 50)
        assert GridHour.objects.get(hour=EIGHT + HOUR).revision == 1

    def test_rebuilding_everything_changes_no_digit(self, tmp_path: Path) -> None:
        imported(tmp_path, "2026-03-02T08:00Z,FR,40\n")
        drain()
        before = ledger()
        rebuild_everything(now=NOON)
        assert ledger() == before

    def test_a_file_with_one_wrong_line_changes_nothing_and_names_it(self, tmp_path: Path) -> None:
        with pytest.raises(
            CommandError, match=r"1 wrong lines, nothing was stored\n  line 5: value 'much' is no number"
        ):
            imported(tmp_path, "2026-03-02T08:00Z,FR,40\n2026-03-02T09:00Z,FR,much\n")
        assert not GridHour.objects.exists() and not DirtyHour.objects.exists()

    def test_checking_a_file_stores_nothing_and_importing_it_leaves_a_trail(self, tmp_path: Path) -> None:
        imported(tmp_path, "2026-03-02T08:00Z,FR,40\n", "--check")
        assert not GridHour.objects.exists()
        imported(tmp_path, "2026-03-02T08:00Z,FR,40\n", "--zone", "FR")
        entry = AuditEntry.objects.get(action="grid.imported")
        assert (entry.subject, entry.detail) == ("hours.csv", {"added": 1, "replaced": 0})
