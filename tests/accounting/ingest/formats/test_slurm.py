"""What sacct's text is taken to say. The texts are written after Slurm's manual, with values of our own."""

import pytest

from accounting.ingest.formats.imported import MOST_ERRORS, ImportedFile, ImportRefused
from accounting.ingest.formats.slurm import parse

COLUMNS = "JobID|JobIDRaw|JobName|User|Account|Start|End|ElapsedRaw|State|NodeList|AllocTRES|ConsumedEnergyRaw"
START, END = "2026-03-02T08:00:00", "2026-03-02T10:00:00"


def line(job_id: str = "100", energy: str = "7200000", **other: str) -> str:
    cells = {
        "JobIDRaw": job_id,
        "JobName": "train",
        "User": "ada",
        "Account": "physics",
        "Start": START,
        "End": END,
        "ElapsedRaw": "7200",
        "State": "COMPLETED",
        "NodeList": "gpu01",
        "AllocTRES": "billing=64,cpu=64,gres/gpu=8,mem=250G,node=1",
    } | other
    return "|".join(({"JobID": job_id, "ConsumedEnergyRaw": energy} | cells)[name] for name in COLUMNS.split("|"))


def text(*lines: str, columns: str = COLUMNS) -> bytes:
    return "\n".join([columns, *lines, ""]).encode()


def parsed(*lines: str, **stated: str) -> ImportedFile:
    found = parse(text(*lines), stated={"time_zone": "UTC", **stated})
    assert not found.wrong, found.errors
    return found


def joules(found: ImportedFile) -> float:
    return sum(span.energy_j for span in found.batch.energy_spans)


class TestEnergy:
    def test_of_a_job_counts_once_beside_its_steps(self) -> None:
        # The job's row says 7.2 MJ, which is 2 kWh; its steps say 7.2 MJ + 3.6 MJ + 3.5 MJ of the same energy
        steps = line("100.extern"), line("100.batch", "3600000"), line("100.0", "3500000")
        found = parsed(line(), *steps)
        assert (found.facts.runs, found.facts.energy_kwh) == (1, 2.0)
        assert joules(found) == 7_200_000

    @pytest.mark.parametrize("nothing", ["", "0", "18446744073709551614", "4294967294", "Unknown", "18446744073.71G"])
    def test_that_was_not_measured_is_not_zero(self, nothing: str) -> None:
        found = parsed(line(energy=nothing))
        assert (found.facts.without_energy, found.batch.energy_spans) == (1, [])
        assert found.batch.jobs[0].job == "100"

    def test_of_steps_alone_is_the_extern_steps(self) -> None:
        found = parsed(line(energy="0"), line("100.extern", "5000"), line("100.batch", "3000"), line("100.0", "4000"))
        assert joules(found) == 5000
        assert any("only steps tell" in note for note in found.notes)

    def test_of_steps_that_ran_at_once_counts_once_and_after_each_other_both(self) -> None:
        # step 0 from 8 to 9 and step 1 from 9 to 10 follow each other: 4000 + 3500 J; step 2 ran beside them: left out
        found = parsed(
            line(energy=""),
            line("100.0", "4000", End="2026-03-02T09:00:00"),
            line("100.1", "3500", Start="2026-03-02T09:00:00"),
            line("100.2", "1000"),
        )
        assert joules(found) == 7500

    def test_that_slurm_added_up_twice_is_said(self) -> None:
        found = parsed(line(energy="7000"), line("100.batch", "4000"), line("100.0", "3000"))
        assert joules(found) == 7000
        assert any("Contain" in note for note in found.notes)

    def test_with_a_suffix_counts_in_thousands_and_its_rounding_is_said(self) -> None:
        body = text(line(energy="12.34K"), columns=COLUMNS.replace("ConsumedEnergyRaw", "ConsumedEnergy"))
        found = parse(body, stated={})
        assert joules(found) == 12_340
        assert any("rounded" in note for note in found.notes)

    def test_stands_in_the_resources_where_no_column_has_it(self) -> None:
        body = text(
            line(energy="x", AllocTRES="cpu=1,energy=9000"), columns=COLUMNS.replace("ConsumedEnergyRaw", "Partition")
        )
        assert joules(parse(body, stated={})) == 9000

    def test_is_split_equally_over_the_nodes(self) -> None:
        found = parsed(line(NodeList="gpu[01-02],cpu-3", energy="9000"))
        assert [(s.host, s.energy_j) for s in found.batch.energy_spans] == [
            ("gpu01", 3000.0),
            ("gpu02", 3000.0),
            ("cpu-3", 3000.0),
        ]

    @pytest.mark.parametrize(("gather", "kind"), [("node", "node"), ("rapl", "cpu"), ("gpu", "gpu"), ("", "node")])
    def test_is_of_what_the_cluster_measures(self, gather: str, kind: str) -> None:
        device = parsed(line(), gather=gather).batch.devices[0]
        assert (device.kind, device.total) == (kind, True)


class TestJobs:
    def test_of_arrays_and_het_jobs_have_the_number_an_agent_sees(self) -> None:
        found = parsed(line("123_4", JobIDRaw="127"), line("130+1", JobIDRaw="131"))
        assert [job.job for job in found.batch.jobs] == ["127", "131"]

    def test_that_were_requeued_ran_more_than_once(self) -> None:
        again = line(Start="2026-03-02T11:00:00", End="2026-03-02T12:00:00", ElapsedRaw="3600", energy="1000")
        found = parsed(
            line(energy="2000", State="NODE_FAIL"), line("100.batch", "2000"), again, line("100.batch", "900")
        )
        assert (found.facts.runs, joules(found)) == (2, 3000)
        assert len({span.run for span in found.batch.energy_spans}) == 2

    def test_that_have_not_ended_or_never_ran_are_left_out_and_counted(self) -> None:
        found = parsed(
            line("1", State="RUNNING", End="Unknown"),
            line("2", State="PENDING", Start="Unknown", End="Unknown", NodeList="None assigned"),
            line("3", State="CANCELLED by 1000", Start="None", NodeList="None assigned"),
            line("4", State="CANCELLED by 1000"),
        )
        assert found.facts.runs == 1
        assert any(note.startswith("2 jobs had not ended") for note in found.notes)
        assert any(note.startswith("1 jobs never ran") for note in found.notes)

    def test_carry_name_user_and_account(self) -> None:
        job = parsed(line(), team="ml").batch.jobs[0]
        assert (job.name, job.team, job.project) == ("train (ada)", "ml", "physics")

    def test_belong_to_whom_their_account_is_stated_to(self) -> None:
        lines = line("1"), line("2", Account="chem"), line("3", Account="other")
        found = parsed(*lines, accounts="physics = ml/vision\nchem = bio")
        assert [(job.team, job.project) for job in found.batch.jobs] == [("ml", "vision"), ("bio", None), (None, None)]

    def test_hold_their_nodes_only_where_they_had_all_of_them(self) -> None:
        part = line("2", AllocTRES="cpu=8,gres/gpu:h100=4")
        found = parsed(line("1"), part, gpus_per_node="8")
        assert [mark.job for mark in found.batch.job_marks] == ["1"]
        assert any(note.startswith("1 jobs may have shared") for note in found.notes)
        assert len(parsed(line("1"), part, nodes="whole").batch.job_marks) == 2
        assert len(parsed(line("1"), part, cpus_per_node="64").batch.job_marks) == 1
        assert not parsed(line("1"), part).batch.job_marks

    def test_that_share_a_node_are_said_where_slurm_tells_gpus(self) -> None:
        assert any("too low" in note for note in parsed(line("1"), line("2"), gather="gpu").notes)
        assert not any("too low" in note for note in parsed(line("1"), line("2")).notes)


class TestTimes:
    def test_are_of_the_clusters_zone(self) -> None:
        # Paris is one hour ahead of UTC on 2 March
        found = parse(text(line()), stated={"time_zone": "Europe/Paris"})
        assert (found.facts.first, found.facts.last) == ("2026-03-02T07:00:00Z", "2026-03-02T09:00:00Z")

    def test_are_utc_where_nobody_says_and_that_is_told(self) -> None:
        found = parse(text(line()), stated={})
        assert found.facts.first == "2026-03-02T08:00:00Z"
        assert any("UTC" in note for note in found.notes)

    def test_that_the_clocks_made_doubtful_are_settled_by_how_long_it_ran(self) -> None:
        # 2026-10-25 in Paris: 02:30 comes twice, at 00:30Z and 01:30Z; 03:00 is 02:00Z, 5400 s or 1800 s later
        fold = line(Start="2026-10-25T02:30:00", End="2026-10-25T03:00:00", ElapsedRaw="5400")
        found = parse(text(fold), stated={"time_zone": "Europe/Paris"})
        assert (found.facts.first, found.facts.last) == ("2026-10-25T00:30:00Z", "2026-10-25T02:00:00Z")
        short = line(Start="2026-10-25T02:30:00", End="2026-10-25T03:00:00", ElapsedRaw="1800")
        assert parse(text(short), stated={"time_zone": "Europe/Paris"}).facts.first == "2026-10-25T01:30:00Z"
        unsaid = parse(text(line(Start="2026-10-25T02:30:00", End="2026-10-25T03:00:00", ElapsedRaw="")),
                       stated={"time_zone": "Europe/Paris"})  # fmt: skip
        assert any("clocks" in note for note in unsaid.notes)

    def test_may_carry_an_offset_or_be_seconds(self) -> None:
        found = parse(text(line(Start="2026-03-02T08:00:00+0100", End="1772442000", ElapsedRaw="")), stated={})
        assert (found.facts.first, found.facts.last) == ("2026-03-02T07:00:00Z", "2026-03-02T09:00:00Z")

    @pytest.mark.parametrize(
        ("elapsed", "last"), [("1-02:03:04", "2026-03-03T10:03:04Z"), ("05:30", "2026-03-02T08:05:30Z")]
    )
    def test_follow_from_how_long_it_ran(self, elapsed: str, last: str) -> None:
        columns = COLUMNS.replace("|End|ElapsedRaw|", "|Elapsed|")
        body = text(line(End=elapsed, ElapsedRaw="!").replace("|!|", "|"), columns=columns)
        assert parse(body, stated={}).facts.last == last


class TestText:
    @pytest.mark.parametrize("delimiter", [";", "\t", "^"])
    def test_may_use_another_delimiter_any_order_and_a_last_one(self, delimiter: str) -> None:
        names = [*reversed(COLUMNS.split("|"))]
        rows = [delimiter.join([*names, ""]), delimiter.join([*reversed(line().split("|")), ""])]
        assert parse("\n".join(rows).encode(), stated={}).facts.energy_kwh == 2.0

    def test_may_hold_the_delimiter_in_a_jobs_name(self) -> None:
        assert parsed(line(JobName="a|b|c")).batch.jobs[0].name == "a|b|c (ada)"

    def test_names_lines_that_cannot_be_read(self) -> None:
        found = parse(text(line("1"), "1|2", line("3", energy="lots"), line("4", NodeList="n[")), stated={})
        assert [(error.line, found.wrong) for error in found.errors] == [(3, 3), (4, 3), (5, 3)]
        many = parse(text(*["1|2" + " " * k for k in range(50)]), stated={})
        assert (len(many.errors), many.wrong) == (MOST_ERRORS, 50)

    def test_counts_lines_that_stand_twice_once(self) -> None:
        assert parsed(line(), line()).facts.runs == 1

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            (b"", "empty"),
            (b"\x89PNG\r\n\x1a\n\x00\xff", "no text"),
            (b'{"jobs": []}', "JSON"),
            (b"a,b\n1,2\n", "no column JobID"),
            (b"JobID|State\n1|COMPLETED\n", "two of Start, End and Elapsed"),
            (b"UID,User,JobID,JobName,Submit,Elapsed,Partition,NNodes,NCPUS,AllocTRES\n", "NodeList"),
        ],
    )
    def test_of_another_kind_is_refused_with_what_to_do(self, body: bytes, words: str) -> None:
        with pytest.raises(ImportRefused, match=words) as refused:
            parse(body, stated={})
        assert "sacct -P" in str(refused.value)

    @pytest.mark.parametrize(
        "stated",
        [{"time_zone": "Mars/X"}, {"gather": "all"}, {"nodes": "x"}, {"gpus_per_node": "-1"}, {"accounts": "a b"}],
    )
    def test_is_refused_where_what_is_stated_makes_no_sense(self, stated: dict[str, str]) -> None:
        with pytest.raises(ImportRefused):
            parse(text(line()), stated=stated)
