"""What CodeCarbon's clients told, as they told it. `accounting.ingest.codecarbon` is the only writer."""

import uuid

from django.db import models
from django.db.models import Q

from accounting.models.fleet import Project, Site, Team


class CodeCarbonExperiment(models.Model):
    """An experiment by the id that clients configure. An id nobody made here is taken in when a run names it."""

    team = models.ForeignKey(Team, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    site = models.ForeignKey(Site, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=100, help_text="The client's id, a UUID; everyone's default one is the same")
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    project = models.ForeignKey(Project, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    place = models.JSONField(default=dict, help_text="Country, region and cloud, as the client states them")
    created_at = models.DateTimeField()

    class Meta:
        ordering = ("name", "pk")
        constraints = (
            models.UniqueConstraint(
                fields=("team", "key"), condition=~Q(team=None), name="cc_experiment_once_per_team"
            ),
            models.UniqueConstraint(fields=("site", "key"), condition=Q(team=None), name="cc_experiment_once_per_site"),
        )

    def __str__(self) -> str:
        return self.name


class CodeCarbonRun(models.Model):
    """One tracker, from its start to its end. Its host and job are made when it first tells of energy."""

    class Mode(models.TextChoices):
        MACHINE = "machine", "The whole machine"
        PROCESS = "process", "One process's share"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    experiment = models.ForeignKey(CodeCarbonExperiment, on_delete=models.CASCADE, related_name="runs")
    mode = models.CharField(max_length=10, choices=Mode.choices, default=Mode.MACHINE)
    host_name = models.CharField(max_length=255)
    host_told = models.BooleanField(help_text="False: guessed from the shape of the machine")
    job_key = models.CharField(max_length=200)
    job_told = models.BooleanField(help_text="False: a job of its own")
    team_slug = models.CharField(max_length=60, blank=True, help_text="Under a site's token: whose job it is")
    project_slug = models.CharField(max_length=60, blank=True, help_text="Empty: the experiment's")
    pue_told = models.FloatField(null=True, help_text="Inside what it tells, taken out again; empty: taken for 1")
    machine = models.JSONField(default=dict, help_text="Machine, place and versions, as the tracker states them")
    tells_totals = models.BooleanField(default=False, help_text="Each post is a total since the start, not a part")
    began_at = models.DateTimeField(help_text="As the client says")
    told_from_us = models.BigIntegerField(null=True)
    told_to_us = models.BigIntegerField(null=True)
    revision = models.IntegerField(default=0, help_text="Rises when a late post corrects what stands")

    class Meta:
        ordering = ("-began_at",)
        indexes = (
            models.Index(fields=("host_name", "told_from_us"), name="cc_run_by_host"),
            models.Index(fields=("job_key",), name="cc_run_by_job"),
        )

    def __str__(self) -> str:
        return f"{self.experiment} {self.began_at:%Y-%m-%d %H:%M}"


class CodeCarbonEmission(models.Model):
    """One post of a run: what it adds since the post before. PUE is inside all of it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    run = models.ForeignKey(CodeCarbonRun, on_delete=models.CASCADE, related_name="emissions", db_index=False)
    at_us = models.BigIntegerField(help_text="When it was sent, by the client's clock")
    duration_s = models.FloatField(help_text="Cut to whole seconds by the client")
    energy_kwh = models.FloatField()
    cpu_kwh = models.FloatField()
    gpu_kwh = models.FloatField()
    ram_kwh = models.FloatField()
    emissions_kg = models.FloatField()
    wue = models.FloatField(null=True)
    use = models.JSONField(default=dict, help_text="Power and utilisation, as posted")
    hole_told = models.BooleanField(default=False, help_text="Whether a span says that time before it is missing")

    class Meta:
        ordering = ("run", "at_us")
        constraints = (
            models.UniqueConstraint(fields=("run", "at_us", "duration_s", "energy_kwh"), name="cc_emission_once"),
        )
