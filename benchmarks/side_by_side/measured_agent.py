"""The agent as `agent_cost.py` measures it: URL, sensor, folder, number of GPUs. Runs until it is killed.

The parts are the product's; only where the GPUs are asked for does a stand-in take the place of NVIDIA's binding.
"""

import sys
import threading
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from accounting.agent.clock import Clock, machine_boot_id
from accounting.agent.courier import Courier
from accounting.agent.jobs import JobFinder
from accounting.agent.logs import log_to_stdout
from accounting.agent.loop import Loop, serve
from accounting.agent.post import Client, Token
from accounting.agent.sensors import nvml
from accounting.agent.sensors.machine import Machine
from accounting.agent.sensors.rack import Rack
from accounting.agent.spool import Spool

url, sensor, folder, gpus = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])


class Binding(types.ModuleType):
    """In the place of NVIDIA's: constants, but for a counter that rises."""

    class NVMLError(Exception):
        value = 0

    NVML_ERROR_NOT_SUPPORTED = NVML_ERROR_NO_PERMISSION = NVML_ERROR_FUNCTION_NOT_FOUND = NVML_ERROR_NO_DATA = -1
    NVML_ERROR_NOT_FOUND = NVML_SUCCESS = -2

    def __getattr__(self, name: str) -> Callable[..., Any]:
        answer = ANSWERS.get(name.removeprefix("nvmlDeviceGet").removeprefix("nvml"))
        if answer is None:
            raise AttributeError(name)
        return answer


box, memory = types.SimpleNamespace, types.SimpleNamespace(total=80 << 30, used=40 << 30)
ANSWERS = {
    "Init": lambda: None,
    "Shutdown": lambda: None,
    "Count": lambda: gpus,
    "HandleByIndex": lambda index: index,
    "UUID": lambda gpu: f"GPU-00000000-0000-0000-0000-{gpu:012d}",
    "Name": lambda gpu: "GPU of the benchmark",
    "MemoryInfo": lambda gpu: memory,
    "PowerManagementDefaultLimit": lambda gpu: 700_000,
    "MigMode": lambda gpu: (0, 0),
    "PowerUsage": lambda gpu: 400_000 + gpu,
    "TotalEnergyConsumption": lambda gpu: int(time.monotonic() * 400_000),
    "UtilizationRates": lambda gpu: box(gpu=90),
    "ComputeRunningProcesses": lambda gpu: [box(pid=1), box(pid=2)],
    "ProcessUtilization": lambda gpu, since: [
        box(pid=pid, smUtil=45, timeStamp=since + 1 + pid) for pid in (1, 2) for _ in range(6)
    ],
}
if sensor == "nvml":
    sys.modules["pynvml"] = Binding("pynvml")
    nvml.has_driver = lambda: True
log_to_stdout(as_json=False)
rack, clock = Rack([sensor], here=Machine(powercap=folder / "powercap")), Clock()
rack.open_missing()
spool = Spool(folder / "spool", machine_boot=machine_boot_id())
client = Client(url, Token(lambda: "gai_benchmark", "benchmark"))
courier = Courier(spool, client.post, agent_id="bench", host="bench", clock=clock)
loop = Loop(rack, spool, courier, interval_s=1.0, jobs=JobFinder(), clock=clock)
serve(loop, courier, threading.Event())
