"""Which processes used a GPU how much, for GPUs that several jobs share.

Utilization is the driver's: the share of time in which a process had work on the GPU's multiprocessors, the mean of
what the driver sampled since the last time it was asked. Of a slice (MIG) the driver tells the processes and the size,
but no utilization.
"""

from collections import defaultdict
from typing import Any

from accounting.agent.sensors.base import ProcessUse

PERCENT = 100.0


class UseReader:
    """Remembers, for each GPU, up to when the driver's samples have been taken."""

    def __init__(self, nvml: Any) -> None:
        self._nvml = nvml
        self._taken_us: dict[str, int] = {}

    def read(self, device: str, handle: Any, *, mig: bool) -> list[ProcessUse]:
        """Every process on the GPU now.

        Raises:
            NVMLError: the GPU cannot even name its processes.
        """
        if mig:
            return self._on_slices(handle)
        pids = [process.pid for process in self._nvml.nvmlDeviceGetComputeRunningProcesses(handle)]
        sampled = self._sampled(device, handle)
        if sampled is None:
            return [ProcessUse(pid) for pid in pids]
        return [ProcessUse(pid, sampled.get(pid, 0.0)) for pid in pids]

    def _sampled(self, device: str, handle: Any) -> dict[int, float] | None:
        """Mean utilization of each process since last asked; None where the driver does not tell it."""
        nvml, taken_us = self._nvml, self._taken_us.get(device, 0)
        try:
            samples = nvml.nvmlDeviceGetProcessUtilization(handle, taken_us)
        except nvml.NVMLError as error:
            nothing_new = (nvml.NVML_ERROR_NOT_FOUND, nvml.NVML_SUCCESS)  # the binding raises success for an empty list
            return {} if error.value in nothing_new else None
        percents: dict[int, list[float]] = defaultdict(list)
        for sample in samples:
            if sample.timeStamp > taken_us and sample.smUtil <= PERCENT:  # beyond: the driver's word for none
                percents[sample.pid].append(sample.smUtil)
        self._taken_us[device] = max([taken_us, *(sample.timeStamp for sample in samples)])
        return {pid: sum(told) / len(told) / PERCENT for pid, told in percents.items()}

    def _on_slices(self, handle: Any) -> list[ProcessUse]:
        nvml, found = self._nvml, []
        most = nvml.nvmlDeviceGetMaxMigDeviceCount(handle)
        for index in range(most):
            try:
                one = nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index)
            except nvml.NVMLError:
                continue  # no slice has this number
            fraction = nvml.nvmlDeviceGetAttributes(one).computeInstanceSliceCount / most
            name = f"gi-{nvml.nvmlDeviceGetGpuInstanceId(one)}-{index}"
            pids = [process.pid for process in nvml.nvmlDeviceGetComputeRunningProcesses(one)]
            found += [ProcessUse(pid, None, name, fraction) for pid in pids]
        return found
