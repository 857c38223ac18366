"""A trace plays back with its own times and keys, the same in every life."""

from pathlib import Path

import pytest

from accounting.agent.sensors.base import Reading, SensorUnavailable
from accounting.agent.sensors.replay import CHUNK_ROWS, ReplaySensor
from accounting.agent.wire import DeviceInfo

HEADER = "measured_at,device,power_w,energy_j,utilization,memory_used_bytes,job,kind,model,tdp_w"
ROWS = (
    "2026-03-01T08:00:00Z,gpu-0,300,1000,0.5,1024,train-1,,NVIDIA A100,400",
    "2026-03-01T08:00:00Z,node-a,900,,,,,node,,",
    "2026-03-01T09:00:10+01:00,gpu-0,0,,,,,,,",
)


def trace(folder: Path, *rows: str, header: str = HEADER) -> Path:
    path = folder / "trace.csv"
    path.write_text("\n".join((header, *rows)) + "\n")
    return path


class TestReplay:
    def test_gives_rows_with_their_own_times_and_numbers(self, tmp_path: Path) -> None:
        sensor = ReplaySensor(trace(tmp_path, *ROWS))
        assert sensor.read() == [
            Reading("gpu-0", 300.0, 1000.0, 0.5, 1024, "2026-03-01T08:00:00Z", "train-1", 1),
            Reading("node-a", 900.0, measured_at="2026-03-01T08:00:00Z", seq=2),
            Reading("gpu-0", 0.0, measured_at="2026-03-01T09:00:10+01:00", seq=3),  # a measured zero
        ]
        assert sensor.finished
        assert sensor.read() == []

    def test_describes_devices_where_they_first_appear(self, tmp_path: Path) -> None:
        assert ReplaySensor(trace(tmp_path, *ROWS)).devices() == [
            DeviceInfo("gpu-0", "gpu", model="NVIDIA A100", tdp_w=400.0),
            DeviceInfo("node-a", "node"),
        ]

    def test_a_second_life_gives_the_same_keys_and_another_trace_gives_others(self, tmp_path: Path) -> None:
        path = trace(tmp_path, *ROWS)
        first, second = ReplaySensor(path), ReplaySensor(path)
        first.read()
        assert second.stream == first.stream
        assert [r.seq for r in second.read()] == [1, 2, 3]
        assert ReplaySensor(trace(tmp_path, *ROWS[:2])).stream != first.stream

    def test_keeps_the_traces_pace_times_the_speed(self, tmp_path: Path) -> None:
        now_s = 0.0
        sensor = ReplaySensor(trace(tmp_path, *ROWS), speed=2.0, monotonic=lambda: now_s)
        assert len(sensor.read()) == 2
        now_s = 4.9
        assert sensor.read() == []
        now_s = 5.0  # 10 s of trace at twice its pace
        assert len(sensor.read()) == 1
        assert sensor.finished

    def test_gives_a_long_trace_in_pieces(self, tmp_path: Path) -> None:
        path = tmp_path / "trace.csv"
        lines = (f"2026-03-01T08:{n // 60 % 60:02}:{n % 60:02}.{n // 3600:06}Z,d{n},1" for n in range(CHUNK_ROWS + 1))
        path.write_text("measured_at,device,power_w\n" + "\n".join(lines))
        sensor = ReplaySensor(path)
        assert (len(sensor.read()), sensor.finished) == (CHUNK_ROWS, False)
        assert (len(sensor.read()), sensor.finished) == (1, True)


class TestRefusals:
    @pytest.mark.parametrize(
        ("row", "why"),
        [
            ("2026-03-01T08:00:00,gpu-0,1,,,,,,,", "line 2.*offset"),
            ("yesterday,gpu-0,1,,,,,,,", "line 2.*'yesterday'"),
            ("2026-03-01T08:00:00Z,,1,,,,,,,", "line 2: no device"),
            ("2026-03-01T08:00:00Z,gpu-0,lots,,,,,,,", "line 2: power_w 'lots'"),
            ("2026-03-01T08:00:00Z,gpu-0,nan,,,,,,,", "line 2: power_w 'nan'"),
            ("2026-03-01T08:00:00Z,gpu-0,-1,,,,,,,", "line 2: power_w '-1'"),
            ("2026-03-01T08:00:00Z,gpu-0,,,0.5,,,,,", "line 2: neither power_w nor energy_j"),
        ],
    )
    def test_names_the_line_that_cannot_be_played(self, tmp_path: Path, row: str, why: str) -> None:
        with pytest.raises(SensorUnavailable, match=why):
            ReplaySensor(trace(tmp_path, row))

    def test_refuses_a_device_that_goes_back_in_time(self, tmp_path: Path) -> None:
        with pytest.raises(SensorUnavailable, match="line 5: gpu-0 at 2026-03-01T08:00:10Z does not follow"):
            ReplaySensor(trace(tmp_path, *ROWS, "2026-03-01T08:00:10Z,gpu-0,5,,,,,,,"))

    def test_refuses_a_file_without_its_columns_rows_or_existence(self, tmp_path: Path) -> None:
        with pytest.raises(SensorUnavailable, match="lacks the columns measured_at, power_w"):
            ReplaySensor(trace(tmp_path, "gpu-0,1", header="device,watts"))
        with pytest.raises(SensorUnavailable, match="no rows"):
            ReplaySensor(trace(tmp_path))
        with pytest.raises(SensorUnavailable, match=r"missing\.csv"):
            ReplaySensor(tmp_path / "missing.csv")
        (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(SensorUnavailable, match="cannot be played"):
            ReplaySensor(tmp_path / "binary.csv")
