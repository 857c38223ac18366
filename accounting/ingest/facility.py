"""Facility samples into the table, by the same rules as device samples. They are few, so the ORM does."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from accounting.ingest.columns import microsecond
from accounting.ingest.streams import Ranges, taken_among
from accounting.models import FacilitySample, SampleConflict, Site

READINGS = ("pue", "cooling_power_w", "wue_l_per_kwh", "water_l", "grid_intensity_g_per_kwh")


@dataclass(slots=True)
class KeptFacility:
    """What became of a batch's facility samples."""

    changed_us: list[int] = field(default_factory=list)  # when something new holds from
    water_us: list[int] = field(default_factory=list)  # which of them tell litres, or did
    duplicates: int = 0
    conflicts: list[SampleConflict] = field(default_factory=list)


def keep_facility(samples: Sequence[Any], site: Site, *, taken: Ranges, now: datetime) -> KeptFacility:
    """Write what is new of one site's samples. In the caller's transaction; posts for a site wait for each other."""
    kept = KeptFacility()
    Site.objects.select_for_update().get(pk=site.pk)
    times = {microsecond(sample.measured_at) for sample in samples}
    standing = {row.measured_at_us: row for row in FacilitySample.objects.filter(site=site, measured_at_us__in=times)}
    for sample in sorted(samples, key=lambda sample: -sample.revision):
        row = _row(sample, site, now)
        before = standing.get(row.measured_at_us)
        if before is None and _came_before(sample.seq, taken):
            kept.conflicts.append(_conflict(row, {"seq": sample.seq}, now))
        elif before is None or row.revision > before.revision:
            row.save(force_insert=before is None)
            standing[row.measured_at_us] = row
            kept.changed_us.append(row.measured_at_us)
            if row.water_l is not None or (before is not None and before.water_l is not None):
                kept.water_us.append(row.measured_at_us)
        elif row.revision < before.revision or _readings(row) == _readings(before):
            kept.duplicates += 1
        else:
            kept.conflicts.append(_conflict(row, _readings(before) | {"revision": before.revision}, now))
    return kept


def _came_before(seq: int | None, taken: Ranges) -> bool:
    return seq is not None and bool(taken_among(taken, np.array([seq]))[0])


def _row(sample: Any, site: Site, now: datetime) -> FacilitySample:
    return FacilitySample(
        site=site,
        measured_at_us=microsecond(sample.measured_at),
        revision=sample.revision,
        received_at_us=microsecond(now),
        **{name: getattr(sample, name) for name in READINGS},
    )


def _readings(row: FacilitySample) -> dict[str, Any]:
    return {name: getattr(row, name) for name in READINGS}


def _conflict(row: FacilitySample, stored: dict[str, Any], now: datetime) -> SampleConflict:
    offered = _readings(row) | {"revision": row.revision}
    return SampleConflict(
        site_id=row.site_id, measured_at_us=row.measured_at_us, stored=stored, offered=offered, received_at=now
    )
