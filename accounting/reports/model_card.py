"""A job's carbon as the `co2_eq_emissions` block of a Hugging Face model card: YAML metadata, emissions in GRAMS.

Format: Hugging Face Hub documentation, Displaying carbon emissions for your model. What is not known is left out. The
figure is the one that others put there: operational, location-based, with cooling and losses, without the making of the
hardware; its `source` says so and gives the range.
"""

from collections import Counter
from typing import Any

import yaml

from accounting.factors.places import find_cloud_region
from accounting.methods.records import Range
from accounting.models import Device, Job, LedgerHour, Site, SiteTerms
from accounting.reports.queries import job_totals
from accounting.reports.records import Totals

TRAINING_TYPES = ("pre-training", "fine-tuning")
NAMED_KINDS = {Device.Kind.GPU: "GPU", Device.Kind.CPU: "CPU"}
DIGITS = 4


class NoEmissions(ValueError):
    """The ledger holds nothing of this job yet."""


def model_card(job: Job, *, training_type: str | None = None, location: str | None = None) -> dict[str, Any]:
    """`{"co2_eq_emissions": {...}}`. Five queries.

    Args:
        training_type: pre-training or fine-tuning; None: the job's kind where it is one of them.
        location: as granular as is known; None: the place of its sites.

    Raises:
        NoEmissions: there is no ledger row of it.
    """
    totals = job_totals(job)
    if totals.status is None:
        raise NoEmissions(f"nothing of {job.key!r} is in the ledger yet")
    told = {
        "emissions": _digits(totals.co2e_location_g.mid),
        "source": _source(job, totals),
        "training_type": training_type or (job.kind if job.kind in TRAINING_TYPES else None),
        "geographical_location": location or _location(job),
        "hardware_used": _hardware(job),
    }
    return {"co2_eq_emissions": {name: value for name, value in told.items() if value}}


def as_front_matter(card: dict[str, Any]) -> str:
    """YAML for the top of a README.md, without the lines of dashes around it."""
    return yaml.safe_dump(card, sort_keys=False, allow_unicode=True, width=1000)


def _digits(grams: float) -> float:
    return float(f"{grams:.{DIGITS}g}")


def _source(job: Job, totals: Totals) -> str:
    how = {"measured": "measured", "modelled": "partly modelled", "default": "partly by default factors"}
    assert totals.status is not None
    embodied = _spread(totals.embodied_g)
    return (
        f"GreenAI ledger, job {job.key}: operational, location-based, cooling and losses included, "
        f"{how[totals.status.value.lower()]}, range {_spread(totals.co2e_location_g)} g; "
        f"making of the hardware not included ({embodied} g)"
    )


def _spread(grams: Range) -> str:
    return f"{grams.low:.{DIGITS}g} to {grams.high:.{DIGITS}g}"


def _location(job: Job) -> str:
    """Of each site the place of its cloud region or its name, with the grid zone; as its newest terms say."""
    site_ids = set(LedgerHour.objects.filter(job=job, site__isnull=False).values_list("site_id", flat=True).distinct())
    newest = {terms.site_id: terms for terms in SiteTerms.objects.filter(site__in=site_ids).order_by("valid_from")}
    return "; ".join(_place(site, newest.get(site.pk)) for site in Site.objects.filter(pk__in=site_ids))


def _place(site: Site, terms: SiteTerms | None) -> str:
    region = find_cloud_region(terms.cloud_provider, terms.cloud_region) if terms and terms.cloud_region else None
    zone = (terms.grid_zone if terms else "") or (region.zone if region else "")
    return f"{region.place if region else site.name}{f', {zone}' if zone else ''}"


def _hardware(job: Job) -> str:
    """`8 x NVIDIA H100, 2 x AMD EPYC 7742`: GPUs and CPUs that held it, the most frequent first."""
    ids = set(LedgerHour.objects.filter(job=job).values_list("device_id", flat=True).distinct())
    devices = Device.objects.filter(pk__in=ids, kind__in=NAMED_KINDS).order_by("-kind", "model")
    counts = Counter(device.model or NAMED_KINDS[Device.Kind(device.kind)] for device in devices)
    return ", ".join(f"{count} x {name}" for name, count in counts.items())
