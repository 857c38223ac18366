"""An experiment's measurements as a page, a table, a chart and a line of advice show them."""

from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from accounting.reports.display import show
from accounting.reports.tables import Column, Table
from optimizer.models import Comparison, Experiment, Measurement, Recommendation, Variant
from optimizer.models.measurements import Quantity

TONES = {
    "queued": "", "running": "good", "finished": "good", "failed": "bad", "cancelled": "", "quarantined": "bad",
}  # fmt: skip
SHOWN = {  # quantity: column head, kind of `display.show`
    Quantity.ENERGY: ("Energy per {unit}", "energy_j"),
    Quantity.LATENCY_P50: ("Latency p50", "time_s"),
    Quantity.LATENCY_P95: ("Latency p95", "time_s"),
    Quantity.PEAK_MEMORY: ("Peak memory", "bytes"),
    Quantity.SIZE: ("Size on disk", "bytes"),
    Quantity.QUALITY: ("Quality: {metric}", "percent"),
    Quantity.CPU_TIME: ("Processor time per {unit}", "time_s"),
    Quantity.OPTIMIZER_STATE: ("Optimizer state", "bytes"),
}
VERDICTS = {  # quantity is better lower, except quality
    "lower": ("lower", "good", "bad"),
    "higher": ("higher", "bad", "good"),
    "no_difference": ("no difference shown", "", ""),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One quantity of one variant, in words; empty words where it was not measured."""

    figure: str = ""
    interval: str = ""
    status: str = ""
    method: str = ""
    ratio: str = ""
    verdict: str = ""
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    variant: Variant
    cells: list[Cell]


@dataclass(frozen=True, slots=True)
class BeforeAfter:
    """Variants down, quantities across; only quantities that something was measured of."""

    heads: list[str]
    rows: list[Row]


def before_after(experiment: Experiment) -> BeforeAfter:
    variants, measured, compared = _load(experiment)
    quantities = [q for q in SHOWN if any((variant.pk, q) in measured for variant in variants)]
    return BeforeAfter(
        heads=[_head(q, experiment) for q in quantities],
        rows=[
            Row(v, [_cell(q, measured.get((v.pk, q)), compared.get((v.pk, q))) for q in quantities]) for v in variants
        ],
    )


def as_table(experiment: Experiment) -> Table:
    """Every measurement with its comparison, one row each: what the CSV holds."""
    variants, measured, compared = _load(experiment)
    heads = (
        "variant", "technique", "quantity", "low", "mid", "high", "status", "method", "ratio_low", "ratio",
        "ratio_high", "verdict",
    )  # fmt: skip
    words = {"variant", "technique", "quantity", "status", "method", "verdict"}
    rows = []
    for variant in variants:
        for quantity in SHOWN:
            if row := measured.get((variant.pk, quantity)):
                versus = compared.get((variant.pk, quantity))
                ratios = (versus.ratio_low, versus.ratio, versus.ratio_high, versus.verdict) if versus else (None,) * 4
                figures = (row.low, row.mid, row.high, row.status, row.method)
                rows.append((variant.label, variant.technique, quantity.value, *figures, *ratios))
    columns = [Column(head, head.replace("_", " "), numeric=head not in words) for head in heads]
    return Table(f"experiment-{experiment.pk}", "Before and after", columns, rows)


def quality_energy_figure(experiment: Experiment) -> dict[str, Any]:
    """Quality over energy per unit, one point a variant with both intervals; better is up and left."""
    variants, measured, _ = _load(experiment)
    traces = []
    for number, variant in enumerate(variants):
        energy, quality = (measured.get((variant.pk, q)) for q in (Quantity.ENERGY, Quantity.QUALITY))
        if energy and quality:
            colour = "--ink-2" if variant.is_baseline else f"--c{(number - 1) % 7 + 1}"
            traces.append(_point(variant, energy, quality, colour))
    metric, unit = experiment.workload.quality_metric, experiment.workload.functional_unit
    return {
        "data": traces,
        "layout": {
            "xaxis": {"title": {"text": f"Energy per {unit} (J)"}, "rangemode": "tozero"},
            "yaxis": {"title": {"text": f"{metric} (%)"}},
            "hovermode": "closest",
        },
        "empty": "No variant has both an energy and a quality yet",
    }


def advice_line(row: Recommendation) -> dict[str, object]:
    """What `partials/advice.html` shows of a recommendation."""
    shown = show("energy_kwh", row.energy_saving_kwh, row.energy_saving_kwh_low, row.energy_saving_kwh_high)
    saves = row.energy_saving_kwh_low > 0  # an interval that reaches zero proves no saving
    return {
        "title": row.title,
        "url": reverse("recommendation", args=[row.pk]),
        "status": row.evidence.upper(),
        "evidence": row.evidence,
        "saving": f"{shown.mid} {shown.unit} less / {row.per}" if saves else "",
        "interval": f"{shown.low} to {shown.high} {shown.unit}" if saves else "",
        "reason": row.reason,
    }


def _load(
    experiment: Experiment,
) -> tuple[list[Variant], dict[tuple[int, str], Measurement], dict[tuple[int, str], Comparison]]:
    """Variants in order, their measurements and comparisons by (variant, quantity). Three queries."""
    measured = Measurement.objects.filter(variant__experiment=experiment)
    return (
        list(experiment.variants.all()),
        {(row.variant_id, row.quantity): row for row in measured},
        {(row.variant_id, row.quantity): row for row in experiment.comparisons.all()},
    )


def _head(quantity: Quantity, experiment: Experiment) -> str:
    workload = experiment.workload
    return SHOWN[quantity][0].format(unit=workload.functional_unit, metric=workload.quality_metric)


def _cell(quantity: Quantity, row: Measurement | None, versus: Comparison | None) -> Cell:
    if row is None:
        return Cell()
    shown = show(SHOWN[quantity][1], row.mid, row.low, row.high)
    cell = {
        "figure": f"{shown.mid} {shown.unit}",
        "interval": f"{shown.low} to {shown.high}" if shown.is_range else "",
        "status": row.status,
        "method": row.method,
    }
    if versus is None:
        return Cell(**cell)
    words, tone, quality_tone = VERDICTS[versus.verdict]
    spread = f" ({versus.ratio_low:.2f} to {versus.ratio_high:.2f})" if versus.ratio_low != versus.ratio_high else ""
    return Cell(
        **cell,
        ratio=f"{versus.ratio:.2f}{spread} ×",
        verdict=words,
        tone=quality_tone if quantity == Quantity.QUALITY else tone,
    )


def _point(variant: Variant, energy: Measurement, quality: Measurement, colour: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": variant.label,
        "x": [energy.mid],
        "y": [quality.mid * 100],
        "error_x": _bars(energy, 1.0, colour),
        "error_y": _bars(quality, 100.0, colour),
        "marker": {"color": colour, "size": 10, "symbol": "diamond" if variant.is_baseline else "circle"},
        "hovertemplate": f"{variant.label}<br>%{{x:.4g}} J, %{{y:.2f}} %<extra></extra>",
    }


def _bars(row: Measurement, factor: float, colour: str) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [(row.high - row.mid) * factor],
        "arrayminus": [(row.mid - row.low) * factor],
        "color": colour,
        "thickness": 1.5,
        "width": 4,
    }
