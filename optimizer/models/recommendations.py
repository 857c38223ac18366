"""Advice to a team, with what it should save and what became of it. Written by `optimizer.recommend` only."""

from django.db import models

from accounting.models import Team, User
from optimizer.models.experiments import Experiment, Variant


class Recommendation(models.Model):
    class State(models.TextChoices):
        OPEN = "open", "Open"
        ACCEPTED = "accepted", "Accepted"
        DISMISSED = "dismissed", "Dismissed"

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="recommendations")
    experiment = models.OneToOneField(Experiment, null=True, on_delete=models.CASCADE, related_name="recommendation")
    variant = models.ForeignKey(Variant, null=True, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=20, default="technique")
    title = models.CharField(max_length=200)
    reason = models.TextField(help_text="Why, in one or two sentences, with the figures that decide")
    evidence = models.CharField(max_length=20, default="measured", help_text="measured, modelled")
    per = models.CharField(max_length=40, help_text="What the saving is counted per: month, or million inferences")
    energy_saving_kwh_low = models.FloatField()
    energy_saving_kwh = models.FloatField()
    energy_saving_kwh_high = models.FloatField()
    co2e_saving_g_low = models.FloatField()
    co2e_saving_g = models.FloatField()
    co2e_saving_g_high = models.FloatField()
    cost_saving_low = models.FloatField(null=True)
    cost_saving = models.FloatField(null=True, help_text="Null: no price is known there")
    cost_saving_high = models.FloatField(null=True)
    alternatives = models.JSONField(default=list, help_text="What else was tried, and why it lost")
    one_off_kwh = models.FloatField(null=True, help_text="What finding and making it cost")
    break_even_units = models.FloatField(null=True, help_text="Units of work until the one-off energy is earned back")
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    decided_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    decided_at = models.DateTimeField(null=True)
    decision_note = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return self.title
