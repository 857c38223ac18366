"""What a device draws doing nothing: its kind's idle share of its TDP. Not read off it, so it is a factor."""

from functools import lru_cache

from accounting.factors import lookup
from accounting.factors.catalog import Catalog
from accounting.methods.records import Figure, Range, Status


@lru_cache(maxsize=1024)  # a rebuild asks for every row
def idle_draw_w(catalog: Catalog, *, kind: str, model: str, tdp_w: float | None) -> Figure | None:
    """Watts; None where no share is known of its kind, or no TDP of it.

    Args:
        tdp_w: as the device's own driver or its owner states it; else the catalogue's for the model.
    """
    share = catalog.find("idle_share", kind)
    if share is None:
        return None
    tdp = _tdp_w(catalog, kind, model) if tdp_w is None else Figure(Range.exact(tdp_w), "W", Status.MEASURED)
    return share.figure.times(tdp, "W") if tdp else None


def _tdp_w(catalog: Catalog, kind: str, model: str) -> Figure | None:
    known = {"gpu": lambda: lookup.accelerator_tdp(catalog, model), "cpu": lambda: lookup.cpu_tdp(model)}
    factor = known[kind]() if kind in known and model else None
    return factor.figure if factor else None
