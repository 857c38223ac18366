"""What is to be made cheaper: a model with its data, its unit of work and its quality measure."""

from django.db import models

from accounting.models import Project, Team


class Workload(models.Model):
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="workloads")
    project = models.ForeignKey(Project, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    name = models.CharField(max_length=200)
    builtin = models.CharField(
        max_length=60, help_text="Key of a workload in optimizer.training.data, for example minilm-retrieval"
    )
    description = models.TextField(blank=True)
    kind = models.CharField(
        max_length=20, choices=[("inference", "Inference"), ("training", "Training")], default="inference"
    )
    functional_unit = models.CharField(max_length=40, default="inference", help_text="What one unit of work is")
    quality_metric = models.CharField(max_length=60, help_text="For example accuracy or recall at 10, 0..1")
    units_per_month = models.FloatField(
        null=True, blank=True, help_text="How often it runs in production; empty: savings are given per million units"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name",)
        constraints = (models.UniqueConstraint(fields=("team", "name"), name="workload_name_once_per_team"),)

    def __str__(self) -> str:
        return self.name
