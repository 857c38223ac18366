"""What this machine can do, printed as one JSON object: `python -m optimizer.worker.probe`.

A process of its own, because it loads torch and opens sensors; the worker that waits for experiments stays small.
"""

import json
import os
from typing import Any

from accounting.agent.sensors.machine import Machine
from accounting.agent.sensors.rack import Rack

CPU_FORMATS = {  # processor flag: what it multiplies natively
    "avx2": "fp32",
    "avx512_vnni": "int8",
    "avx_vnni": "int8",
    "avx512_bf16": "bf16",
    "amx_int8": "int8 tiles",
    "amx_bf16": "bf16 tiles",
    "asimddp": "int8",
}


def capabilities(machine: Machine) -> dict[str, Any]:
    memory = machine.memory_bytes()
    return {
        "cpu": machine.cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": memory[0] if memory else None,
        "sensors": measuring_sensors(machine),
        **torch_abilities(cpu_flags()),
    }


def measuring_sensors(machine: Machine) -> list[str]:
    """Names of the sensors that measure here; those that model are left out, so an empty list means: modelled."""
    rack = Rack(["auto"], here=machine)
    rack.open_missing()
    try:
        return [name for name, sensor in rack.open.items() if sensor.status == "measured"]
    finally:
        rack.close()


def torch_abilities(flags: set[str]) -> dict[str, Any]:
    """torch's version, GPUs, int8 engines, and the number formats that this hardware multiplies natively."""
    import torch

    cuda = torch.cuda.is_available()
    gpus = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())] if cuda else []
    native = {name for flag, name in CPU_FORMATS.items() if flag in flags}
    if cuda:
        native |= {"fp16", *(["bf16"] if torch.cuda.is_bf16_supported() else [])}
    return {
        "torch": torch.__version__,
        "gpus": gpus,
        "int8_engines": [engine for engine in torch.backends.quantized.supported_engines if engine != "none"],
        "dtypes": sorted({"fp32", *native}),
    }


def cpu_flags() -> set[str]:
    """The processor's features as Linux lists them; empty elsewhere."""
    try:
        with open("/proc/cpuinfo") as file:
            lines = [line for line in file if line.startswith(("flags", "Features"))]
    except OSError:
        return set()
    return set(lines[0].partition(":")[2].split()) if lines else set()


if __name__ == "__main__":
    print(json.dumps(capabilities(Machine())))
