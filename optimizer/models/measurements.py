"""What an experiment measured, and how each variant compares with the baseline. Written by `optimizer.worker` only."""

from django.db import models

from optimizer.models.experiments import Experiment, Variant


class Quantity(models.TextChoices):
    """What the before/after protocol measures; the unit is part of the key."""

    ENERGY = "energy_j_per_unit", "Energy per unit of work (J)"
    LATENCY_P50 = "latency_p50_s", "Latency p50 (s)"
    LATENCY_P95 = "latency_p95_s", "Latency p95 (s)"
    PEAK_MEMORY = "peak_memory_bytes", "Peak memory (bytes)"
    SIZE = "size_bytes", "Size on disk (bytes)"
    QUALITY = "quality", "Quality (0..1)"
    CPU_TIME = "cpu_s_per_unit", "CPU time per unit of work (s)"
    OPTIMIZER_STATE = "optimizer_state_bytes", "Optimizer state (bytes)"


class Measurement(models.Model):
    """One quantity of one variant: the figure and a 95 % interval of it, with the raw repeats behind it."""

    variant = models.ForeignKey(Variant, on_delete=models.CASCADE, related_name="measurements")
    quantity = models.CharField(max_length=30, choices=Quantity.choices)
    low = models.FloatField()
    mid = models.FloatField()
    high = models.FloatField()
    repeats = models.JSONField(default=list, help_text="The single readings, in order")
    status = models.CharField(max_length=10, help_text="MEASURED or MODELLED (energy without a power sensor)")
    method = models.CharField(max_length=120, help_text="How: sensor, rounds, what was subtracted")

    class Meta:
        constraints = (models.UniqueConstraint(fields=("variant", "quantity"), name="one_measurement_per_quantity"),)


class Comparison(models.Model):
    """Variant / baseline for one quantity, from paired rounds, with a bootstrap 95 % interval of the ratio."""

    class Verdict(models.TextChoices):
        LOWER = "lower", "Lower"
        HIGHER = "higher", "Higher"
        NO_DIFFERENCE = "no_difference", "No difference shown"

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="comparisons")
    variant = models.ForeignKey(Variant, on_delete=models.CASCADE, related_name="comparisons")
    quantity = models.CharField(max_length=30, choices=Quantity.choices)
    ratio_low = models.FloatField()
    ratio = models.FloatField()
    ratio_high = models.FloatField()
    difference_low = models.FloatField(help_text="Variant minus baseline, in the quantity's unit")
    difference = models.FloatField()
    difference_high = models.FloatField()
    verdict = models.CharField(max_length=15, choices=Verdict.choices)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("variant", "quantity"), name="one_comparison_per_quantity"),)
