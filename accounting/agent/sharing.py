"""What each job used of a device that several hold at once: one `DeviceUse` a job and slice, beside the sample."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from accounting.agent.jobs import JobFinder
from accounting.agent.sensors.base import ProcessUse, Sensor
from accounting.agent.wire import DeviceUse


def uses_now(*, sensors: Iterable[Sensor], jobs: JobFinder, at: str) -> list[DeviceUse]:
    """Uses of every device that is split into slices, or whose processes are of more than one job."""
    uses = []
    for sensor in sensors:
        for device, processes in sensor.uses().items():
            of_jobs: dict[tuple[str, str], list[ProcessUse]] = defaultdict(list)
            for process in processes:
                if job := jobs.job_of(process.pid):
                    of_jobs[job, process.mig_slice].append(process)
            shared = len({job for job, _ in of_jobs}) > 1
            uses += [_use(device, job, at, told) for (job, name), told in of_jobs.items() if shared or name]
    return uses


def _use(device: str, job: str, at: str, told: Sequence[ProcessUse]) -> DeviceUse:
    """The processes of one job together. Of one that is not told nothing is known of the whole."""
    known = [one.utilization for one in told if one.utilization is not None]
    utilization = min(sum(known), 1.0) if len(known) == len(told) else None
    return DeviceUse(device, job, at, utilization, told[0].mig_slice, told[0].mig_fraction)
