"""CodeCarbon's own tracker on a clock and readings that we feed it: nothing of its arithmetic is replaced.

Its scheduler threads are not started; what they would call is called at the trace's own seconds.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

import codecarbon.emissions_tracker as tracker_module
from codecarbon import OfflineEmissionsTracker
from codecarbon.core.units import Power
from codecarbon.external import hardware

Trace = Callable[[float], float]  # seconds since the start -> watts, or a load in per cent


class FedCpu(hardware.CPU):
    """A CPU whose sensor is a trace of watts."""

    def __init__(self, watts: Trace, clock: SimpleNamespace) -> None:
        super().__init__(output_dir=".", mode="constant", model="fed", tdp=100)
        self._watts, self._clock = watts, clock

    def _get_power_from_cpus(self) -> Power:
        return Power.from_watts(self._watts(self._clock.now_s))


def loaded_cpu(tdp_w: float, load_percent: Trace, clock: SimpleNamespace, *, mode: str) -> hardware.CPU:
    """Its CPU-load model with a fed load, `machine` or `process`; its curves are its own."""
    cpu = hardware.CPU(output_dir=".", mode=hardware.MODE_CPU_LOAD, model="fed", tdp=tdp_w, tracking_mode=mode)
    cpu._cpu_load_meter = SimpleNamespace(percent=lambda: load_percent(clock.now_s), reset=lambda: None)
    busy_s = _busy_seconds(load_percent, clock, cpu._cpu_count)
    cpu._get_process_cpu_times = lambda: {cpu._pid: busy_s()}
    return cpu


def track(
    cpu: Callable[[SimpleNamespace], hardware.CPU],
    ticks_s: Sequence[float],
    *,
    monitor_every_s: float | None = None,
    **options: Any,
) -> Any:
    """Its EmissionsData after measurements at `ticks_s`.

    Args:
        cpu: makes the device, given the clock.
        monitor_every_s: how often its monitor samples in between; None: it does not run.
        options: as OfflineEmissionsTracker takes them: country_iso_code, pue, wue, cloud_provider, …
    """
    clock = SimpleNamespace(now_s=0.0)
    tracker = OfflineEmissionsTracker(output_methods=[], allow_multiple_runs=True, log_level="critical", **options)
    with _on(clock):
        device = cpu(clock)
        tracker._hardware, tracker._hardware_initialized = [device], True
        tracker._start_time = tracker._last_measured_time = 0.0
        device.start()
        before_s = 0.0
        for tick_s in ticks_s:
            for now_s in _between(before_s, tick_s, monitor_every_s):
                clock.now_s = now_s
                device.monitor_power()
            clock.now_s = before_s = tick_s
            tracker._measure_power_and_energy()
        return tracker._prepare_emissions_data()


def posted(intervals_s: Sequence[float], kwh_each: float) -> list[dict[str, Any]]:
    """What its API client sends for measurements of these lengths."""
    from codecarbon.core.api_client import ApiClient

    client = ApiClient(endpoint_url="http://127.0.0.1:9", experiment_id="x", create_run_automatically=False)
    client.run_id = "r"
    sent: list[dict[str, Any]] = []
    names = (
        "emissions",
        "emissions_rate",
        "cpu_power",
        "gpu_power",
        "ram_power",
        "cpu_energy",
        "gpu_energy",
        "ram_energy",
    )
    with mock.patch.object(client, "_request", lambda method, url, payload, expected_status: sent.append(payload)):
        for seconds in intervals_s:
            client.add_emission({**dict.fromkeys(names, 0.0), "duration": seconds, "energy_consumed": kwh_each})
    return sent


@contextmanager
def _on(clock: SimpleNamespace) -> Iterator[None]:
    fed = SimpleNamespace(perf_counter=lambda: clock.now_s, time=lambda: clock.now_s, sleep=lambda _: None)
    with mock.patch.object(hardware, "time", fed), mock.patch.object(tracker_module, "time", fed):
        yield


def _between(start_s: float, end_s: float, every_s: float | None) -> list[float]:
    if every_s is None:
        return []
    count = round((end_s - start_s) / every_s)
    return [start_s + k * every_s for k in range(1, count)]


def _busy_seconds(load_percent: Trace, clock: SimpleNamespace, threads: int) -> Callable[[], float]:
    """CPU seconds since the start of a process that loads every thread by the trace."""
    told = SimpleNamespace(at_s=clock.now_s, busy_s=0.0)

    def busy_s() -> float:
        told.busy_s += threads * load_percent(clock.now_s) / 100.0 * (clock.now_s - told.at_s)
        told.at_s = clock.now_s
        return float(told.busy_s)

    return busy_s
