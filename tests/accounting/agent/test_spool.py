"""The queue on disk: bounded, crash safe, and never a sequence number with two contents."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from accounting.agent.continuity import CounterMark
from accounting.agent.spool import Spool
from accounting.agent.spoolfile import SpoolBusy, agent_runs, only_agent
from accounting.agent.wire import DeviceSample

NOW_S = 1_800_000_000.0


def samples(count: int, *, first: int = 0) -> list[DeviceSample]:
    return [DeviceSample("cpu-0", f"t{first + n:05}", power_w=float(first + n)) for n in range(count)]


def keep(spool: Spool, batch: list[DeviceSample], *, now_s: float = NOW_S, new_stream: bool = False) -> bool:
    return spool.append(batch, now_s=now_s, marks={}, new_stream=new_stream)


def waiting_times(spool: Spool) -> list[str]:
    waiting = spool.oldest(10**6)
    return [sample.measured_at for sample in waiting.samples] if waiting else []


class TestOrder:
    def test_numbers_rise_by_one_and_the_oldest_goes_first(self, tmp_path: Path) -> None:
        spool = Spool(tmp_path, machine_boot="boot")
        keep(spool, samples(3))
        keep(spool, samples(2, first=3))
        waiting = spool.oldest(4)
        assert waiting is not None
        assert [(s.seq, s.measured_at) for s in waiting.samples] == [
            (1, "t00000"), (2, "t00001"), (3, "t00002"), (4, "t00003"),
        ]  # fmt: skip
        spool.acknowledge(waiting)
        assert waiting_times(spool) == ["t00004"]

    def test_the_newest_can_be_asked_for_first(self, tmp_path: Path) -> None:
        spool = Spool(tmp_path, machine_boot="boot")
        keep(spool, samples(5))
        newest = spool.newest(2)
        assert newest is not None and [s.seq for s in newest.samples] == [5, 4]

    def test_a_batch_never_mixes_two_streams(self, tmp_path: Path) -> None:
        spool = Spool(tmp_path, machine_boot="boot")
        keep(spool, samples(2))
        first = spool.stream
        keep(spool, samples(2, first=2), new_stream=True)
        waiting = spool.oldest(10)
        assert waiting is not None and (waiting.stream, len(waiting.ids)) == (first, 2)
        spool.acknowledge(waiting)
        waiting = spool.oldest(10)
        assert waiting is not None and waiting.stream != first
        assert [s.seq for s in waiting.samples] == [1, 2]

    def test_a_row_that_was_acknowledged_never_lends_its_id_to_another(self, tmp_path: Path) -> None:
        spool = Spool(tmp_path, machine_boot="boot")
        keep(spool, samples(2))
        sent = spool.oldest(10)
        assert sent is not None
        spool.acknowledge(sent)
        keep(spool, samples(2, first=2))
        spool.acknowledge(sent)  # a late, second acknowledgement
        assert waiting_times(spool) == ["t00002", "t00003"]


class TestRestart:
    def test_goes_on_numbering_in_the_same_boot(self, tmp_path: Path) -> None:
        before = Spool(tmp_path, machine_boot="boot")
        before.append(samples(3), now_s=NOW_S, marks={"cpu-0": CounterMark(12.5, 60.0)})
        stream = before.stream
        before.close()
        after = Spool(tmp_path, machine_boot="boot")
        keep(after, samples(1, first=3))
        assert after.stream == stream
        assert after.marks() == {"cpu-0": CounterMark(12.5, 60.0)}
        assert waiting_times(after) == ["t00000", "t00001", "t00002", "t00003"]

    def test_another_boot_of_the_machine_is_another_stream(self, tmp_path: Path) -> None:
        before = Spool(tmp_path, machine_boot="boot-1")
        before.append(samples(1), now_s=NOW_S, marks={"cpu-0": CounterMark(12.5, 60.0)})
        stream = before.stream
        before.close()
        after = Spool(tmp_path, machine_boot="boot-2")
        assert after.stream != stream
        assert after.marks() == {}
        assert after.counts()["waiting"] == 1

    def test_a_lost_spool_begins_a_stream_of_its_own(self, tmp_path: Path) -> None:
        streams = {Spool(tmp_path / str(n), machine_boot="boot").stream for n in range(20)}
        assert len(streams) == 20

    def test_a_spool_of_a_newer_agent_is_read_as_far_as_it_is_known(self, tmp_path: Path) -> None:
        spool = Spool(tmp_path, machine_boot="boot")
        keep(spool, samples(1))
        with sqlite3.connect(tmp_path / "spool.sqlite3") as db:
            db.execute("UPDATE sample SET body = json_set(body, '$.phase_of_moon', 'full')")
        db.close()
        assert waiting_times(spool) == ["t00000"]


class TestBounds:
    def test_drops_the_oldest_beyond_its_size_and_counts_every_one(self, tmp_path: Path) -> None:
        spool = Spool(tmp_path, machine_boot="boot", max_bytes=300_000)
        for tick in range(60):
            assert keep(spool, samples(100, first=100 * tick))
        counts = spool.counts()
        assert counts["dropped"] > 0
        assert counts["waiting"] + counts["dropped"] == 6000
        times = waiting_times(spool)
        assert times == [f"t{n:05}" for n in range(counts["dropped"], 6000)]
        used = sum(file.stat().st_size for file in tmp_path.glob("spool.sqlite3"))
        assert used < 400_000

    def test_drops_what_is_older_than_its_age(self, tmp_path: Path) -> None:
        spool = Spool(tmp_path, machine_boot="boot", max_age_s=3600)
        keep(spool, samples(10))
        keep(spool, samples(10, first=10), now_s=NOW_S + 3601)
        counts = spool.counts()
        assert counts["waiting"] + counts["dropped"] == 20
        assert counts["dropped"] >= 10

    def test_the_count_of_drops_survives_a_restart(self, tmp_path: Path) -> None:
        spool = Spool(tmp_path, machine_boot="boot", max_age_s=10)
        keep(spool, samples(3))
        keep(spool, [], now_s=NOW_S + 11)
        spool.close()
        assert Spool(tmp_path, machine_boot="boot").dropped == 3

    def test_a_full_disk_drops_the_oldest_and_keeps_the_new(self, tmp_path: Path) -> None:
        spool = Spool(tmp_path, machine_boot="boot")
        spool._file.db.execute("PRAGMA max_page_count = 60")  # the disk is full at 240 KiB
        for tick in range(60):
            assert keep(spool, samples(100, first=100 * tick))
        counts = spool.counts()
        assert counts["dropped"] > 0
        assert waiting_times(spool) == [f"t{n:05}" for n in range(counts["dropped"], 6000)]

    def test_a_disk_with_no_room_at_all_costs_samples_and_nothing_else(self, tmp_path: Path) -> None:
        spool = Spool(tmp_path, machine_boot="boot")
        pages = spool._file.number("PRAGMA page_count")
        spool._file.db.execute(f"PRAGMA max_page_count = {pages}")
        outcomes = [keep(spool, samples(200, first=200 * n)) for n in range(3)]
        assert outcomes == [False, False, False]
        assert spool.dropped == 600
        assert "samples are being dropped" in spool.trouble
        spool._file.db.execute("PRAGMA max_page_count = 100000")
        assert keep(spool, samples(1, first=600))
        assert (spool.dropped, spool.trouble) == (600, "")
        waiting = spool.oldest(10)
        assert waiting is not None and [s.seq for s in waiting.samples] == [1]  # no number was spent on what was lost

    def test_a_folder_that_cannot_be_made_leaves_the_queue_in_memory(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("not a folder")
        spool = Spool(tmp_path / "file" / "spool", machine_boot="boot")
        assert keep(spool, samples(2))
        assert waiting_times(spool) == ["t00000", "t00001"]
        assert "in memory" in spool.trouble


class TestParked:
    def test_steps_aside_with_its_reason_and_can_come_back(self, tmp_path: Path) -> None:
        spool = Spool(tmp_path, machine_boot="boot")
        keep(spool, samples(3))
        refused = spool.oldest(2)
        assert refused is not None
        spool.park(refused, "HTTP 400")
        assert spool.counts() == {"waiting": 1, "parked": 2, "dropped": 0}
        assert spool.unpark() == 2
        back = spool.oldest(10)
        assert back is not None and [s.seq for s in back.samples] == [1, 2, 3]


class TestReplayed:
    def test_playing_again_what_still_waits_adds_nothing(self, tmp_path: Path) -> None:
        spool = Spool(tmp_path, machine_boot="boot")
        rows = [DeviceSample("gpu-0", f"t{n}", power_w=1.0, seq=n) for n in range(1, 4)]
        spool.append_replayed("replay-abc", rows[:2], now_s=NOW_S)
        spool.append_replayed("replay-abc", rows, now_s=NOW_S)
        waiting = spool.oldest(10)
        assert waiting is not None
        assert (waiting.stream, waiting.samples) == ("replay-abc", tuple(rows))


class TestDamage:
    def test_a_file_that_is_no_database_is_kept_aside_and_a_new_stream_begun(self, tmp_path: Path) -> None:
        spool = Spool(tmp_path, machine_boot="boot")
        stream = spool.stream
        spool.close()
        (tmp_path / "spool.sqlite3").write_bytes(os.urandom(20_000))
        after = Spool(tmp_path, machine_boot="boot")
        assert after.stream != stream
        assert keep(after, samples(1))
        assert len(list(tmp_path.glob("spool.sqlite3.damaged-*"))) == 1

    def test_a_log_cut_off_at_any_byte_reopens_with_whole_ticks(self, tmp_path: Path) -> None:
        original = tmp_path / "original"
        spool = Spool(original, machine_boot="boot")
        for tick in range(8):
            keep(spool, samples(4, first=4 * tick))
        database, log = (original / "spool.sqlite3").read_bytes(), (original / "spool.sqlite3-wal").read_bytes()
        spool.close()
        for cut in range(0, len(log), max(len(log) // 60, 1)):
            copy = tmp_path / f"cut-{cut}"
            copy.mkdir()
            (copy / "spool.sqlite3").write_bytes(database)
            (copy / "spool.sqlite3-wal").write_bytes(log[:cut])
            after = Spool(copy, machine_boot="boot")
            times = waiting_times(after)
            assert len(times) % 4 == 0
            assert times == [f"t{n:05}" for n in range(len(times))]
            assert keep(after, samples(1, first=99))
            after.close()

    def test_a_database_cut_off_anywhere_still_lets_the_agent_measure(self, tmp_path: Path) -> None:
        spool = Spool(tmp_path / "original", machine_boot="boot")
        for tick in range(30):
            keep(spool, samples(100, first=100 * tick))
        spool.close()
        database = (tmp_path / "original" / "spool.sqlite3").read_bytes()
        for part in range(1, 12):
            copy = tmp_path / f"part-{part}"
            copy.mkdir()
            (copy / "spool.sqlite3").write_bytes(database[: len(database) * part // 12])
            after = Spool(copy, machine_boot="boot")
            assert keep(after, samples(1))
            after.close()

    def test_damage_found_while_running_begins_anew(self, tmp_path: Path) -> None:
        spool = Spool(tmp_path, machine_boot="boot")
        for tick in range(30):
            keep(spool, samples(100, first=100 * tick))
        stream = spool.stream
        spool._file.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        size = (tmp_path / "spool.sqlite3").stat().st_size
        with (tmp_path / "spool.sqlite3").open("r+b") as file:
            file.seek(4096)
            file.write(os.urandom(size - 4096))
        spool._file.db.execute("PRAGMA shrink_memory")
        spool._file.db.execute("PRAGMA cache_size = 0")
        outcomes = [keep(spool, samples(1, first=9000 + n)) for n in range(3)]
        assert outcomes[-1]
        assert spool.stream != stream


WRITER = """
import sys
from pathlib import Path
from accounting.agent.spool import Spool
from accounting.agent.wire import DeviceSample
spool = Spool(Path(sys.argv[1]), machine_boot="boot")
print("ready", flush=True)
while True:
    stream, n = spool.stream, int(spool.facts()["next_seq"])
    batch = [DeviceSample(f"gpu-{k}", f"{sys.argv[2]}:{n + k}", power_w=float(n + k)) for k in range(8)]
    spool.append(batch, now_s=1.0, marks={})
    print(stream, n, flush=True)
    waiting = spool.newest(4)
    spool.acknowledge(waiting)
"""


class TestKill:
    def test_a_kill_at_any_moment_loses_no_committed_sample_and_repeats_no_number(self, tmp_path: Path) -> None:
        """What was posted (here: printed) under a number must be what the spool holds or has given under it."""
        promised: dict[tuple[str, int], str] = {}
        for life in range(12):
            with subprocess.Popen(
                [sys.executable, "-c", WRITER, str(tmp_path), str(life)], stdout=subprocess.PIPE, text=True
            ) as writer:
                assert writer.stdout is not None
                assert writer.stdout.readline() == "ready\n"
                time.sleep(0.02 + 0.013 * life)
                writer.send_signal(signal.SIGKILL)
                for line in writer.stdout:
                    stream, first = line.split() if line.count(" ") == 1 and line.endswith("\n") else ("", "0")
                    for seq in range(int(first), int(first) + 8) if stream else ():
                        assert (stream, seq) not in promised  # a number is given once
                        promised[stream, seq] = f"{life}:{seq}"
        db = sqlite3.connect(tmp_path / "spool.sqlite3")
        rows = db.execute("SELECT name, seq, body FROM sample JOIN stream ON stream.id = stream_id").fetchall()
        next_seq = int(db.execute("SELECT value FROM fact WHERE name = 'next_seq'").fetchone()[0])
        db.close()
        assert len(promised) > 100
        kept = {(name, seq) for name, seq, _ in rows}  # the writer acknowledges the last four of every eight
        assert {(name, seq) for name, seq in promised if (seq - 1) % 8 < 4} <= kept
        assert next_seq > max(seq for _, seq in promised)
        for name, seq, body in rows:
            if (name, seq) in promised:
                assert json.loads(body)["measured_at"] == promised[name, seq]


class TestOnlyAgent:
    def test_a_second_agent_on_the_same_spool_is_refused(self, tmp_path: Path) -> None:
        assert not agent_runs(tmp_path)
        with only_agent(tmp_path):
            assert agent_runs(tmp_path)
            with pytest.raises(SpoolBusy, match="already runs"), only_agent(tmp_path):
                raise AssertionError("two agents hold one lock")
        assert not agent_runs(tmp_path)
