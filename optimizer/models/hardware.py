"""Machines that run experiments. They register themselves; an administrator lets them in."""

from django.db import models

from accounting.models import Host, Team, User


class Hardware(models.Model):
    class State(models.TextChoices):
        PENDING = "pending", "Waiting for approval"
        APPROVED = "approved", "Approved"
        RETIRED = "retired", "Retired"

    key = models.CharField(max_length=120, unique=True, help_text="Fingerprint the machine keeps between restarts")
    name = models.CharField(max_length=200)
    host = models.ForeignKey(
        Host, null=True, blank=True, on_delete=models.SET_NULL, related_name="hardware",
        help_text="The same machine in the fleet: its devices meter the experiments",
    )  # fmt: skip
    capabilities = models.JSONField(default=dict, help_text="CPU, cores, memory, GPUs, torch, number formats, sensors")
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    teams = models.ManyToManyField(
        Team, blank=True, related_name="hardware", help_text="Teams that may use it; none: every team"
    )
    registered_at = models.DateTimeField(auto_now_add=True)
    heartbeat_at = models.DateTimeField(null=True)
    approved_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    approved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("name",)
        verbose_name_plural = "hardware"

    def __str__(self) -> str:
        return self.name

    @property
    def queue(self) -> str:
        """The Celery queue that this machine's worker alone consumes."""
        return f"hardware.{self.key}"
