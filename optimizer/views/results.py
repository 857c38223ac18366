"""An experiment's measurements as a page, a table, a chart and a line of advice show them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from accounting.reports.display import scale, show
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
    method: str = ""
    verdict: str = ""  # the ratio to the unchanged model (quality: the change in points) and what that shows
    versus: str = ""  # the interval of it
    tone: str = ""
    status: str = ""  # only where the column's cells differ in it


@dataclass(frozen=True, slots=True)
class Head:
    """`status` where it holds for the whole column."""

    words: str
    status: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    variant: Variant
    cells: list[Cell]


@dataclass(frozen=True, slots=True)
class BeforeAfter:
    """Variants down, quantities across; only quantities that something was measured of."""

    heads: list[Head]
    rows: list[Row]


def before_after(experiment: Experiment) -> BeforeAfter:
    variants, measured, compared = _load(experiment)
    quantities = [q for q in SHOWN if any((variant.pk, q) in measured for variant in variants)]
    shared = {q: _shared_status(measured.get((variant.pk, q)) for variant in variants) for q in quantities}
    return BeforeAfter(
        heads=[Head(_words(q, experiment), shared[q]) for q in quantities],
        rows=[
            Row(v, [_cell(q, measured.get((v.pk, q)), compared.get((v.pk, q)), shared[q]) for q in quantities])
            for v in variants
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
    drawn = [row.high for (_, quantity), row in measured.items() if quantity == Quantity.ENERGY]
    factor, joules = scale("energy_j", max(drawn, default=0.0))
    for number, variant in enumerate(variants):
        energy, quality = (measured.get((variant.pk, q)) for q in (Quantity.ENERGY, Quantity.QUALITY))
        if energy and quality:
            colour = "--ink-2" if variant.is_baseline else f"--c{(number - 1) % 7 + 1}"
            traces.append(_point(variant, energy, quality, colour, factor, joules))
    metric, unit = experiment.workload.quality_metric, experiment.workload.functional_unit
    return {
        "data": traces,
        "layout": {
            "xaxis": {"title": {"text": f"Energy per {unit} ({joules})"}, "rangemode": "tozero"},
            "yaxis": {"title": {"text": f"{metric} (%)"}, "rangemode": "normal"},
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


def _shared_status(column: Iterable[Measurement | None]) -> str:
    statuses = {row.status for row in column if row}
    return statuses.pop() if len(statuses) == 1 else ""


def _words(quantity: Quantity, experiment: Experiment) -> str:
    workload = experiment.workload
    return SHOWN[quantity][0].format(unit=workload.functional_unit, metric=workload.quality_metric)


def _cell(quantity: Quantity, row: Measurement | None, versus: Comparison | None, shared_status: str) -> Cell:
    if row is None:
        return Cell()
    shown = show(SHOWN[quantity][1], row.mid, row.low, row.high)
    verdict, spread, tone = _versus(quantity, versus) if versus else ("", "", "")
    return Cell(
        figure=f"{shown.mid} {shown.unit}",
        interval=f"{shown.low} to {shown.high}" if shown.is_range else "",
        method=row.method,
        verdict=verdict,
        versus=spread,
        tone=tone,
        status="" if row.status == shared_status else row.status,
    )


def _versus(quantity: Quantity, row: Comparison) -> tuple[str, str, str]:
    """The verdict with its figure, the interval, and the tone: ratios, but for quality the change in points."""
    words, tone, quality_tone = VERDICTS[row.verdict]
    if row.verdict == Comparison.Verdict.NO_DIFFERENCE and not row.ratio_low <= 1.0 <= row.ratio_high:
        words = "too few rounds to say"  # optimizer.measure.intervals: few rounds carry no finding
    if quantity == Quantity.QUALITY:
        low, mid, high = (_points(end) for end in (row.difference_low, row.difference, row.difference_high))
        figure, tone = f"{mid} points", quality_tone
    else:
        low, mid, high = (f"{end:.2f}" for end in (row.ratio_low, row.ratio, row.ratio_high))
        figure = f"{mid} ×"
    return f"{figure}, {words}", f"{low} to {high}" if low != high else "", tone


def _points(share: float) -> str:
    """0.0011 -> +0.11; what rounds to nothing has no sign."""
    text = f"{share * 100:+.2f}".replace("-", "−")
    return "0.00" if text[1:] == "0.00" else text


def _point(
    variant: Variant, energy: Measurement, quality: Measurement, colour: str, factor: float, joules: str
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": variant.label,
        "x": [energy.mid / factor],
        "y": [quality.mid * 100],
        "error_x": _bars(energy, 1 / factor, colour),
        "error_y": _bars(quality, 100.0, colour),
        "marker": {"color": colour, "size": 10, "symbol": "diamond" if variant.is_baseline else "circle"},
        "hovertemplate": f"{variant.label}<br>%{{x:.3~g}} {joules}, %{{y:.2f}} %<extra></extra>",
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
