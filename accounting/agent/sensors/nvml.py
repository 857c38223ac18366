"""GPU power and energy from the NVIDIA driver (NVML). Measured, whole board.

Energy is the driver's own counter (Volta and newer); it starts again when the driver is reloaded. A GPU split by MIG
still reports the power of the whole board, and no utilization.
"""

import ctypes
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

from accounting.agent.sensors.base import ProcessUse, Reading, Sensor, SensorUnavailable
from accounting.agent.sensors.machine import Machine
from accounting.agent.sensors.nvml_use import UseReader
from accounting.agent.wire import DeviceInfo, DeviceKind, Source, Status

DRIVER_LIBRARY = "libnvidia-ml.so.1"


@dataclass(frozen=True, slots=True)
class _Gpu:
    handle: Any
    info: DeviceInfo
    mig: bool


class NvmlSensor(Sensor):
    """One device a GPU, named by its UUID, which survives a reboot and a moved card: `gpu-GPU-5e7c…`."""

    name: ClassVar[str] = "nvml"
    source: ClassVar[Source] = "agent"
    status: ClassVar[Status] = "measured"
    kinds: ClassVar[frozenset[DeviceKind]] = frozenset({"gpu"})

    def __init__(self, here: Machine, *, covered: Collection[DeviceKind] = ()) -> None:
        self._nvml = load_pynvml()
        self._lost: dict[str, str] = {}
        self._uses = UseReader(self._nvml)
        try:
            self._nvml.nvmlInit()
            found = [self._find(index) for index in range(self._nvml.nvmlDeviceGetCount())]
        except self._nvml.NVMLError as error:
            raise SensorUnavailable(
                f"the NVIDIA driver answers {str(error)!r}", "see whether nvidia-smi works; reload or update the driver"
            ) from error
        self._gpus = [gpu for gpu in found if gpu]
        if not self._gpus:
            raise SensorUnavailable(
                "; ".join(self._lost.values()) or "the NVIDIA driver shows no GPU",
                "see whether nvidia-smi shows the GPUs; in a container, pass them through",
            )

    def devices(self) -> Sequence[DeviceInfo]:
        return [gpu.info for gpu in self._gpus]

    def read(self) -> Sequence[Reading]:
        """One GPU that fell off the bus does not silence the others.

        Raises:
            NVMLError: no GPU answers.
        """
        readings = []
        failure = None
        for gpu in self._gpus:
            try:
                readings.append(self._read(gpu))
            except self._nvml.NVMLError as error:
                failure = error
        if failure and not readings:
            raise failure
        return readings

    def processes(self) -> Mapping[str, Sequence[int]]:
        held: dict[str, list[int]] = {}
        for gpu in self._gpus:
            with suppress(self._nvml.NVMLError):  # a GPU that cannot say is held by no job that we know of
                running = self._nvml.nvmlDeviceGetComputeRunningProcesses(gpu.handle)
                held[gpu.info.device] = [process.pid for process in running]
        return held

    def uses(self) -> Mapping[str, Sequence[ProcessUse]]:
        used: dict[str, Sequence[ProcessUse]] = {}
        for gpu in self._gpus:
            with suppress(self._nvml.NVMLError):
                used[gpu.info.device] = self._uses.read(gpu.info.device, gpu.handle, mig=gpu.mig)
        return used

    def notes(self) -> Sequence[str]:
        split = "is split by MIG: power is of the whole board, utilization is not measured"
        return [*(f"{gpu.info.device} {split}" for gpu in self._gpus if gpu.mig), *self._lost.values()]

    def close(self) -> None:
        with suppress(self._nvml.NVMLError):
            self._nvml.nvmlShutdown()

    def _find(self, index: int) -> _Gpu | None:
        try:
            return self._describe(self._nvml.nvmlDeviceGetHandleByIndex(index))
        except self._nvml.NVMLError as error:
            self._lost[f"gpu {index}"] = f"GPU {index} answers {str(error)!r}"
            return None

    def _describe(self, handle: Any) -> _Gpu:
        nvml = self._nvml
        memory = self._optional(nvml.nvmlDeviceGetMemoryInfo, handle)
        limit_mw = self._optional(nvml.nvmlDeviceGetPowerManagementDefaultLimit, handle)
        mig = self._optional(nvml.nvmlDeviceGetMigMode, handle)
        info = DeviceInfo(
            device=f"gpu-{_text(nvml.nvmlDeviceGetUUID(handle))}",
            kind="gpu",
            model=_text(nvml.nvmlDeviceGetName(handle)),
            tdp_w=None if limit_mw is None else limit_mw / 1000,
            memory_bytes=None if memory is None else int(memory.total),
        )
        return _Gpu(handle, info, mig=bool(mig and mig[0]))

    def _read(self, gpu: _Gpu) -> Reading:
        nvml, handle = self._nvml, gpu.handle
        power_mw = self._optional(nvml.nvmlDeviceGetPowerUsage, handle)
        energy_mj = self._optional(nvml.nvmlDeviceGetTotalEnergyConsumption, handle)
        rates = self._optional(nvml.nvmlDeviceGetUtilizationRates, handle)
        memory = self._optional(nvml.nvmlDeviceGetMemoryInfo, handle)
        return Reading(
            gpu.info.device,
            power_w=None if power_mw is None else power_mw / 1000,
            energy_j=None if energy_mj is None else energy_mj / 1000,
            utilization=None if rates is None else rates.gpu / 100,
            memory_used_bytes=None if memory is None else int(memory.used),
        )

    def _optional(self, call: Callable[[Any], Any], handle: Any) -> Any:
        """What the driver answers, or None where this GPU, driver or user does not have it.

        Raises:
            NVMLError: the GPU or the driver itself is gone.
        """
        absent = (
            self._nvml.NVML_ERROR_NOT_SUPPORTED,
            self._nvml.NVML_ERROR_NO_PERMISSION,
            self._nvml.NVML_ERROR_FUNCTION_NOT_FOUND,
            self._nvml.NVML_ERROR_NO_DATA,
        )
        try:
            return call(handle)
        except self._nvml.NVMLError as error:
            if error.value in absent:
                return None
            raise


def load_pynvml() -> Any:
    """NVIDIA's binding.

    Raises:
        SensorUnavailable: there is no driver here, or no binding.
    """
    if not has_driver():  # asked first: loading the binding costs memory that a machine without a GPU need not spend
        raise SensorUnavailable(
            f"no NVIDIA driver here ({DRIVER_LIBRARY} cannot be loaded)", "nothing to do without an NVIDIA GPU"
        )
    try:
        return import_module("pynvml")
    except ImportError as error:
        raise SensorUnavailable(
            "there is an NVIDIA driver, but not its Python binding", "pip install nvidia-ml-py"
        ) from error


def has_driver() -> bool:
    try:
        ctypes.CDLL(DRIVER_LIBRARY)
    except OSError:
        return False
    return True


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
