"""Several posters of one device by one kind of source: each one's counter counts, and no instant counts twice.

Two agents on one machine (one a Slurm rank, say) read the same device; their readings come interleaved, and neighbours
are of different epochs, so that no counter could be compared. Apart, every epoch is a series of its own; all together,
by power only, they fill what lies between the epochs.
"""

import numpy as np

from accounting.methods.energy import Ints, PowerSeries


def readings_by_poster(series: PowerSeries) -> list[Ints]:
    """Which readings make each series of `apart`, best first: one an epoch, then all. One epoch: only all.

    The order is that of the epochs' numbers, so it does not depend on which stretch of time is looked at, and neither
    does what an hour comes to. An epoch with a single reading has no interval of its own.
    """
    every: Ints = np.arange(series.at_us.size, dtype=np.int64)
    if not series.epoch.size or bool((series.epoch == series.epoch[0]).all()):
        return [every]
    order = np.argsort(series.epoch, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(series.epoch[order]) != 0))
    return [*(part for part in np.split(order, starts[1:]) if part.size > 1), every]


def taken(series: PowerSeries, rows: Ints) -> PowerSeries:
    """These readings of a series, as one of their own."""
    return PowerSeries(
        series.at_us[rows], series.power_w[rows], series.energy_j[rows], series.epoch[rows], series.measured[rows]
    )
