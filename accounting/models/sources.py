"""Telemetry of others: files that people import, labels that name a job, and what was not understood."""

from django.db import models

from accounting.models.access import ApiToken, User
from accounting.models.fleet import Site, Team


class FileImport(models.Model):
    """A file of runs or jobs that a person took in. Withdrawing it takes back what it brought."""

    class Kind(models.TextChoices):
        CODECARBON = "codecarbon", "CodeCarbon emissions.csv"
        SLURM = "slurm", "Slurm sacct"

    kind = models.CharField(max_length=20, choices=Kind.choices)
    team = models.ForeignKey(Team, null=True, on_delete=models.PROTECT, related_name="+")
    site = models.ForeignKey(Site, null=True, on_delete=models.PROTECT, related_name="+")
    file_name = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=64)
    stated = models.JSONField(default=dict, help_text="What the importer said beside the file")
    brought = models.JSONField(default=dict, help_text="How many of what came in, were there already, were refused")
    imported_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    imported_at = models.DateTimeField()
    withdrawn_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-imported_at",)


class HeldFile(models.Model):
    """A file between its preview and the end of its import: what was shown is what is stored, whoever asks for it."""

    kind = models.CharField(max_length=20, choices=FileImport.Kind.choices)
    team = models.ForeignKey(Team, null=True, on_delete=models.CASCADE, related_name="+")
    site = models.ForeignKey(Site, null=True, on_delete=models.CASCADE, related_name="+")
    file_name = models.CharField(max_length=200)
    stated = models.JSONField(default=dict)
    body = models.BinaryField(help_text="zlib")
    held_by = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    held_at = models.DateTimeField()
    claimed_at = models.DateTimeField(null=True, help_text="A worker takes it in since then")
    file_import = models.OneToOneField(
        FileImport, null=True, on_delete=models.CASCADE, related_name="held", help_text="Empty: not confirmed yet"
    )

    class Meta:
        ordering = ("held_at",)


class LabelRule(models.Model):
    """Which team, project and job a poster's labels mean (a pod's, a resource's). The first rule that matches holds.

    `matches` names labels and a regular expression that the whole value must match. `job` and `project` may quote
    labels, as in `{namespace}/{pod}`, and the named groups of the expressions.
    """

    site = models.ForeignKey(Site, null=True, blank=True, on_delete=models.CASCADE, related_name="label_rules")
    position = models.PositiveIntegerField(default=0, help_text="Lower ones are asked first")
    matches = models.JSONField(default=dict, help_text="Label -> regular expression")
    team = models.ForeignKey(Team, null=True, blank=True, on_delete=models.CASCADE, related_name="label_rules")
    project = models.CharField(max_length=120, blank=True)
    job = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("position", "pk")


class UnreadMetric(models.Model):
    """A metric that a poster sends and nobody here understands: counted and named, never kept."""

    MOST_NAMES = 500  # of one token and protocol; the rest is counted under one name

    token = models.ForeignKey(ApiToken, on_delete=models.CASCADE, related_name="unread_metrics")
    protocol = models.CharField(max_length=20, help_text="prometheus, otlp, …")
    name = models.CharField(max_length=200)
    reason = models.CharField(max_length=200, blank=True)
    count = models.BigIntegerField(default=0)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()

    class Meta:
        ordering = ("-count",)
        constraints = (
            models.UniqueConstraint(fields=("token", "protocol", "name", "reason"), name="unread_once_per_reason"),
        )
