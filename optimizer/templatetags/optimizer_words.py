"""An experiment's state in words: `{% load optimizer_words %}`."""

from django import template

from accounting.reports.display import duration
from optimizer.models import Experiment
from optimizer.views.results import TONES

register = template.Library()


@register.inclusion_tag("partials/badge.html")
def state_badge(experiment: Experiment) -> dict[str, str]:
    """`{% state_badge experiment %}`"""
    return {"label": experiment.get_state_display(), "tone": TONES[experiment.state]}


@register.simple_tag
def eta_words(experiment: Experiment) -> str:
    """`{% eta_words experiment as words %}`: 42 %, about 2 min left."""
    words = f"{experiment.percent:.0f} %"
    return words if experiment.eta_s is None else f"{words}, about {duration(experiment.eta_s)} left"
