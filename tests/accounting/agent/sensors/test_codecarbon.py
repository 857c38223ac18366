"""codecarbon's model, and none of its company: no network, no file, no output, no pandas, no place."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from accounting.agent.sensors import codecarbon
from accounting.agent.sensors.base import SensorUnavailable
from accounting.agent.sensors.codecarbon import CodecarbonSensor
from accounting.agent.sensors.machine import Machine
from tests.accounting.agent.fake_hardware import FakeHost

WATCHED = """
import json, os, sys, time
seen = {"written": [], "network": [], "processes": []}
def watch(event, args):
    if event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+"):
        seen["written"].append(str(args[0]))
    elif event.startswith("socket.") and event != "socket.__new__":
        seen["network"].append(event)
    elif event in ("subprocess.Popen", "os.exec", "os.fork", "os.posix_spawn"):
        seen["processes"].append(args[0])
sys.addaudithook(watch)
from accounting.agent.sensors.codecarbon import CodecarbonSensor
from accounting.agent.sensors.machine import Machine
sensor = CodecarbonSensor(Machine())
sensor.read()
time.sleep(0.2)
seen["devices"] = [reading.device for reading in sensor.read()]
seen["heavy"] = [name for name in ("pandas", "numpy", "torch", "django", "requests") if name in sys.modules]
print(json.dumps(seen))
"""


class TestCompany:
    def test_it_writes_calls_and_prints_nothing(self, tmp_path: Path) -> None:
        """As if started inside a Slurm job on a host without scontrol, in a folder of its own."""
        done = subprocess.run(
            [sys.executable, "-B", "-c", WATCHED],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={"PYTHONPATH": str(Path(__file__).parents[4]), "SLURM_JOB_ID": "7", "HOME": str(tmp_path)},
            check=True,
        )
        seen = json.loads(done.stdout)  # nothing else was printed
        assert done.stderr == ""
        assert set(seen.pop("processes")) <= {"nvidia-smi", "rocm-smi"}  # codecarbon's import looks for them, once
        assert seen == {"written": [], "network": [], "devices": ["cpu-0", "memory"], "heavy": []}
        assert list(tmp_path.iterdir()) == []


class TestTdp:
    def test_a_known_cpu_has_its_published_tdp_on_every_socket(self, tmp_path: Path) -> None:
        sensor = CodecarbonSensor(FakeHost(tmp_path, sockets=2).here)
        assert sensor.devices()[0].tdp_w == 250.0  # Xeon Gold 6230: 125 W, twice
        assert sensor.notes() == []

    def test_an_unknown_cpu_is_taken_at_4_w_a_thread_and_says_so(self, tmp_path: Path) -> None:
        here = FakeHost(tmp_path, sockets=2).here
        text = (here.proc / "cpuinfo").read_text().replace("Xeon(R) Gold 6230", "Mystery 9000")
        (here.proc / "cpuinfo").write_text(text)
        sensor = CodecarbonSensor(here)
        assert sensor.devices()[0].tdp_w == 32.0  # 8 threads of two sockets, once
        assert "--cpu-tdp-w" in sensor.notes()[0]


class TestUnavailable:
    def test_says_how_to_get_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("codecarbon", "codecarbon.external.hardware"):
            monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(SensorUnavailable, match="not installed") as refused:
            CodecarbonSensor(Machine())
        assert refused.value.remedy == "pip install codecarbon"

    def test_another_release_that_moved_things_is_refused_not_a_crash(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(codecarbon, "_load_codecarbon", lambda: (object(), object()))
        with pytest.raises(SensorUnavailable, match="AttributeError") as refused:
            CodecarbonSensor(Machine())
        assert "procstat" in refused.value.remedy
