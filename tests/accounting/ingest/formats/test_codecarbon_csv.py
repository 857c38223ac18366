"""emissions.csv in the shapes that versions, modes and spreadsheets give it."""

import math

import pytest

from accounting.ingest.formats.codecarbon_csv import parse
from accounting.ingest.formats.imported import ImportedFile, ImportRefused

COLUMNS = [
    "timestamp",
    "project_name",
    "run_id",
    "experiment_id",
    "duration",
    "emissions",
    "emissions_rate",
    "cpu_power",
    "gpu_power",
    "ram_power",
    "cpu_energy",
    "gpu_energy",
    "ram_energy",
    "energy_consumed",
    "water_consumed",
    "country_name",
    "country_iso_code",
    "region",
    "cloud_provider",
    "cloud_region",
    "os",
    "python_version",
    "codecarbon_version",
    "cpu_count",
    "cpu_model",
    "gpu_count",
    "gpu_model",
    "longitude",
    "latitude",
    "ram_total_size",
    "tracking_mode",
    "cpu_utilization_percent",
    "gpu_utilization_percent",
    "ram_utilization_percent",
    "ram_used_gb",
    "on_cloud",
    "pue",
    "wue",
]
ROW = {
    "timestamp": "2026-11-20T23:47:09", "project_name": "cap-proj", "run_id": "220161ca-a637-4cfa-b048-64806ca65dba",
    "experiment_id": "5b0fa12a-3dd7-45bb-9766-cc326314d9f1", "duration": "3600.0", "emissions": "0.1",
    "cpu_energy": "0.5", "gpu_energy": "0.0", "ram_energy": "0.25", "energy_consumed": "0.75", "country_name": "France",
    "cpu_count": "2", "cpu_model": "Xeon", "gpu_count": "", "gpu_model": "", "ram_total_size": "23.5",
    "tracking_mode": "machine", "pue": "1.0", "wue": "0.0",
}  # fmt: skip
RUN_2 = "f0000000-a637-4cfa-b048-64806ca65dba"


def written(*changes: dict[str, str], columns: list[str] = COLUMNS, mark: str = ",") -> bytes:
    lines = [mark.join(columns)]
    lines += [mark.join((ROW | change).get(column, "") for column in columns) for change in changes]
    return "\n".join(lines).encode()


def read(*changes: dict[str, str], columns: list[str] = COLUMNS, mark: str = ",", **stated: str) -> ImportedFile:
    return parse(written(*changes, columns=columns, mark=mark), stated=stated)


def energy_kwh(found: ImportedFile) -> float:
    return math.fsum(span.energy_j or 0.0 for span in found.batch.energy_spans) / 3.6e6


class TestALine:
    def test_is_a_run_from_its_duration_before_its_time(self) -> None:
        found = read({})
        assert {(s.started_at, s.ended_at) for s in found.batch.energy_spans} == {
            ("2026-11-20T22:47:09+00:00", "2026-11-20T23:47:09+00:00")
        }
        assert [(s.device, s.energy_j) for s in found.batch.energy_spans] == [
            ("codecarbon-cpu", 0.5 * 3.6e6), ("codecarbon-memory", 0.25 * 3.6e6),
        ]  # fmt: skip
        assert (found.facts.runs, found.facts.energy_kwh, found.wrong) == (1, 0.75, 0)
        assert found.batch.jobs[0].job == "codecarbon-220161ca-a637-4cfa-b048-64806ca65dba"

    def test_tells_local_time_where_no_offset_stands(self) -> None:
        assert read({}, time_zone="Europe/Paris").facts.last == "2026-11-20T22:47:09+00:00"
        assert any("time zone" in note for note in read({}).notes)
        assert read({"timestamp": "2026-11-20T23:47:09+02:00"}).facts.last == "2026-11-20T21:47:09+00:00"

    def test_may_stand_in_any_order_of_columns_with_some_missing_and_some_unknown(self) -> None:
        few = ["energy_consumed", "carbon_offset", "duration", "timestamp"]
        found = read({}, columns=few)
        assert [(s.device, s.energy_j) for s in found.batch.energy_spans][-1] == ("codecarbon-other", 0.75 * 3.6e6)
        assert found.facts.energy_kwh == 0.75 and any("one other device" in note for note in found.notes)
        assert energy_kwh(read({}, columns=COLUMNS[::-1])) == energy_kwh(read({})) == 0.75

    def test_has_its_pue_taken_out_or_the_one_stated(self) -> None:
        assert read({"pue": "1.5"}).facts.energy_kwh == pytest.approx(0.5)
        old = [column for column in COLUMNS if column != "pue"]
        assert read({}, columns=old, pue="1.5").facts.energy_kwh == pytest.approx(0.5)
        assert any("taken for 1:" in note for note in read({}, columns=old).notes)

    def test_that_tells_no_energy_is_time_that_is_missing(self) -> None:
        found = read({"energy_consumed": "nan", "cpu_energy": "", "ram_energy": ""})
        assert {span.energy_j for span in found.batch.energy_spans} == {None}
        assert (found.facts.without_energy, found.facts.energy_kwh) == (1, 0.0)

    def test_of_a_process_has_devices_of_its_own(self) -> None:
        one, two = read({"tracking_mode": "process"}), read({"tracking_mode": "process", "run_id": RUN_2})
        keys = [{span.device for span in found.batch.energy_spans} for found in (one, two)]
        assert keys[0].isdisjoint(keys[1])

    def test_names_the_team_and_its_project_where_the_importer_says_so(self) -> None:
        job = read({"project_name": "Res Net 50!"}, team="vision").batch.jobs[0]
        assert (job.team, job.project) == ("vision", "res-net-50")
        assert read({}, team="vision", project="x").batch.jobs[0].project == "x"
        assert read({}).batch.jobs[0].project is None


class TestLinesOfOneRun:
    def test_are_totals_of_which_counts_what_each_adds(self) -> None:
        later = {
            "timestamp": "2026-11-21T00:47:09",
            "duration": "7200.4",
            "energy_consumed": "1.75",
            "cpu_energy": "1.5",
        }
        found = read({}, later)
        assert (found.facts.runs, found.facts.energy_kwh) == (1, 1.75)
        assert energy_kwh(found) == pytest.approx(1.75)
        assert any("flush" in note for note in found.notes)

    @pytest.mark.parametrize("run_id", ["None", "", "220161ca-a637-4cfa-b048-64806ca65dba"])
    def test_are_told_from_another_run_by_their_start(self, run_id: str) -> None:
        other = {"timestamp": "2026-11-21T03:00:00", "duration": "3600"}
        found = read({"run_id": run_id}, {"run_id": run_id} | other)
        assert (found.facts.runs, found.facts.energy_kwh) == (2, 1.5)

    def test_written_twice_count_once(self) -> None:
        assert read({}, {}).facts == read({}).facts

    def test_of_a_task_file_each_stand_by_themselves(self) -> None:
        columns = ["task_name", *(c for c in COLUMNS if c not in ("experiment_id", "pue", "wue"))]
        train = {"task_name": "train", "timestamp": "2026-11-20T20:00:00", "duration": "600"}
        test = {"task_name": "test", "timestamp": "2026-11-20T20:10:00", "duration": "590"}
        found = read(train, test, columns=columns)
        assert found.facts.energy_kwh == 1.5 and len(found.batch.jobs) == 2
        assert "train" in found.batch.jobs[0].name and any("one of them" in note for note in found.notes)


class TestWhatIsWrong:
    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"timestamp": "yesterday"}, "timestamp is 'yesterday'"),
            ({"timestamp": "1970-01-01T00:00:00"}, "before 2001"),
            ({"duration": "-3"}, "duration is -3"),
            ({"duration": "nan"}, "duration is nan"),
            ({"energy_consumed": "1,5"}, "cells"),
            ({"energy_consumed": "lots"}, "energy_consumed is 'lots', not a number"),
            ({"gpu_energy": "-1"}, "gpu_energy is -1"),
            ({"cpu_energy": "inf"}, "cpu_energy is inf"),
        ],
    )
    def test_is_named_with_its_line_and_then_nothing_is_taken(self, change: dict[str, str], says: str) -> None:
        found = read({}, change, {"run_id": RUN_2})
        assert [error.line for error in found.errors] == [3] and says in found.errors[0].message
        assert found.wrong == 1 and not found.batch.energy_spans

    @pytest.mark.parametrize(
        ("body", "says"),
        [
            (b"", "no column"), (b"\xff\xfe", "UTF-8"), (b"timestamp,duration\n", "energy_consumed"),
            (b"timestamp,timestamp,duration,energy_consumed\n", "twice"),
        ],
    )  # fmt: skip
    def test_as_a_whole_is_refused(self, body: bytes, says: str) -> None:
        with pytest.raises(ImportRefused, match=says):
            parse(body, stated={})

    @pytest.mark.parametrize("stated", [{"time_zone": "Mars/Olympus"}, {"pue": "0.5"}, {"pue": "x"}])
    def test_in_what_was_stated_is_refused(self, stated: dict[str, str]) -> None:
        with pytest.raises(ImportRefused):
            parse(written({}), stated=stated)

    def test_is_not_a_byte_order_mark_or_semicolons(self) -> None:
        assert parse(b"\xef\xbb\xbf" + written({}, mark=";"), stated={}).facts.energy_kwh == 0.75

    def test_is_not_an_empty_file_with_a_first_line(self) -> None:
        assert parse(written(), stated={}).facts.runs == 0
