"""Experiments and the variants they try. State, lease and fence are columns: the database is the truth."""

import uuid

from django.db import models

from accounting.models import Job, User
from optimizer.models.hardware import Hardware
from optimizer.models.workloads import Workload


class Experiment(models.Model):
    """One question: which variant of this workload does best by `goal`, losing at most `quality_floor_points`?"""

    class State(models.TextChoices):
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        FINISHED = "finished", "Finished"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"
        QUARANTINED = "quarantined", "Set aside after repeated failures"

    class Goal(models.TextChoices):
        ENERGY = "energy", "Energy per unit of work"
        LATENCY = "latency", "Latency (median)"
        MEMORY = "memory", "Peak memory"
        SIZE = "size", "Size on disk"

    class Outcome(models.TextChoices):
        NONE = "", "Not known yet"
        RECOMMENDED = "recommended", "A variant qualifies"
        NOTHING_QUALIFIES = "nothing_qualifies", "Nothing qualifies"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workload = models.ForeignKey(Workload, on_delete=models.CASCADE, related_name="experiments")
    hardware = models.ForeignKey(Hardware, null=True, blank=True, on_delete=models.PROTECT, related_name="experiments")
    job = models.OneToOneField(Job, null=True, on_delete=models.PROTECT, related_name="experiment")
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")

    goal = models.CharField(max_length=10, choices=Goal.choices, default=Goal.ENERGY)
    quality_floor_points = models.FloatField(
        default=1.0, help_text="Largest acceptable loss of quality, in percentage points against the unchanged model"
    )
    quality_minimum = models.FloatField(
        null=True, blank=True, help_text="Optional absolute minimum of the quality metric, 0..1"
    )
    repeats = models.PositiveSmallIntegerField(default=20, help_text="Interleaved rounds: one window per variant each")
    seed = models.IntegerField(default=0)
    carbon_context = models.JSONField(
        default=dict, help_text="Intensity, PUE and price at submission, with status: for grams so far and for savings"
    )

    state = models.CharField(max_length=12, choices=State.choices, default=State.QUEUED)
    outcome = models.CharField(max_length=20, choices=Outcome.choices, default=Outcome.NONE, blank=True)
    explanation = models.TextField(blank=True, help_text="Why this outcome, or why it failed, for people")
    attempt = models.PositiveSmallIntegerField(default=0)
    fence = models.PositiveBigIntegerField(default=0, help_text="Rises with every claim; older writes are void")
    lease_owner = models.CharField(max_length=200, blank=True)
    lease_expires_at = models.DateTimeField(null=True)
    nudged_at = models.DateTimeField(null=True, help_text="When a Celery message was last sent for it")
    cancel_requested_at = models.DateTimeField(null=True)

    step = models.CharField(max_length=200, blank=True)
    percent = models.FloatField(default=0.0)
    eta_s = models.FloatField(null=True)
    power_w = models.FloatField(null=True, help_text="The machine's draw now")
    energy_j = models.FloatField(default=0.0, help_text="Of this attempt so far, before cooling")
    co2e_g = models.FloatField(null=True, help_text="So far; the ledger has the final figure")

    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-created_at",)
        indexes = (models.Index(fields=("state", "lease_expires_at")),)

    def __str__(self) -> str:
        return f"{self.workload} for {self.get_goal_display()}"


class Variant(models.Model):
    """One configuration an experiment measures; exactly one per experiment is the baseline."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="variants")
    position = models.PositiveSmallIntegerField()
    is_baseline = models.BooleanField(default=False)
    technique = models.CharField(max_length=40, help_text='Key of a technique; "none" for the unchanged model')
    parameters = models.JSONField(default=dict)
    label = models.CharField(max_length=200)
    failure = models.TextField(blank=True, help_text="Why it could not be built or measured")
    artifact = models.CharField(max_length=500, blank=True, help_text="Saved model, under the data folder")
    one_off_energy_j = models.FloatField(null=True, help_text="What making it cost: calibration, training")

    class Meta:
        ordering = ("experiment", "position")
        constraints = (
            models.UniqueConstraint(fields=("experiment", "position"), name="variant_position_once"),
            models.UniqueConstraint(
                fields=("experiment",), condition=models.Q(is_baseline=True), name="one_baseline_per_experiment"
            ),
        )

    def __str__(self) -> str:
        return self.label
