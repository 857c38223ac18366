"""What administrators may say in a label rule, and labels that they try rules on."""

import json
import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from accounting.ingest.expressions import fault_of
from accounting.models import LabelRule, Site, Team

MOST_CONDITIONS = 10
LONGEST_LABEL = 120
LONGEST_TRIAL = 8000
_BRACES = re.compile(r"\{[^{}]+\}")
EXAMPLE = {
    "conditions": "namespace=ml-.*\npod=(?P<app>.+)-[0-9a-f]{8,10}-[a-z0-9]{5}",
    "job": "{namespace}/{app}",
}


class RuleForm(forms.Form):
    """A rule. Each line of `conditions` is a label and the regular expression of its whole value."""

    conditions = forms.CharField(
        label="Where",
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 4, "class": "mono", "spellcheck": "false"}),
        help_text="A line each: label=regular expression of the whole value. All must match.",
    )
    job = forms.CharField(
        max_length=200, help_text="Quote labels and named groups in braces: {namespace}/{app}", label="Job"
    )
    team = forms.ModelChoiceField(
        Team.objects.all(), required=False, empty_label="Nobody’s", help_text="Under a team’s token it is that team"
    )
    project = forms.CharField(
        max_length=120, required=False, help_text="Of the team; made when new. May quote labels too"
    )
    site = forms.ModelChoiceField(
        Site.objects.all(), required=False, empty_label="Every site", help_text="Whose tokens it holds for"
    )

    def clean_conditions(self) -> dict[str, str]:
        matches: dict[str, str] = {}
        faults = []
        for number, line in enumerate(self.cleaned_data["conditions"].splitlines(), start=1):
            label, given, expression = (part.strip() for part in line.partition("="))
            if not line.strip():
                continue
            if not given or not label:
                fault: str | None = "write label=expression, as in namespace=ml-.*"
            elif len(label) > LONGEST_LABEL:
                fault = f"a label of {len(label)} characters: {LONGEST_LABEL} at most"
            else:
                fault = "the label was named before: join the two" if label in matches else fault_of(expression)
            if fault:
                faults.append(f"Line {number}: {fault}")
            matches[label] = expression
        if not faults and len(matches) > MOST_CONDITIONS:
            faults.append(f"{len(matches)} lines: {MOST_CONDITIONS} at most")
        if faults:
            raise ValidationError(faults)
        return matches

    def clean_job(self) -> str:
        return _template(self.cleaned_data["job"])

    def clean_project(self) -> str:
        return _template(self.cleaned_data["project"])

    def fill(self, rule: LabelRule) -> LabelRule:
        """The rule as the form says it. Not saved."""
        said = self.cleaned_data
        rule.matches, rule.job, rule.project = said["conditions"], said["job"], said["project"]
        rule.team, rule.site = said["team"], said["site"]
        return rule

    @staticmethod
    def saying(rule: LabelRule) -> dict[str, Any]:
        """What the form shows of a rule."""
        lines = "\n".join(f"{label}={expression}" for label, expression in rule.matches.items())
        return {
            "conditions": lines,
            "job": rule.job,
            "project": rule.project,
            "team": rule.team_id,
            "site": rule.site_id,
        }


class TryForm(forms.Form):
    labels = forms.CharField(
        label="Labels",
        max_length=LONGEST_TRIAL,
        required=False,
        widget=forms.Textarea(
            attrs={
                "rows": 5,
                "class": "mono",
                "spellcheck": "false",
                "placeholder": "namespace=ml-vision\npod=train-7d9f8b6c5-x2x9z",
            }
        ),
        help_text="A line each: name=value, or a JSON object",
    )
    of_site = forms.ModelChoiceField(
        Site.objects.all(), required=False, label="Posted for", empty_label="Any site", help_text=""
    )

    def clean_labels(self) -> dict[str, str]:
        return read_labels(self.cleaned_data["labels"])


def read_labels(text: str) -> dict[str, str]:
    """Labels as people paste them: JSON, lines, or Prometheus's own way of writing them.

    Raises:
        ValidationError: neither.
    """
    text = text.strip()
    if text.startswith("{") and re.match(r'\{\s*("|\})', text):
        try:
            told = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValidationError(f"Not JSON: {error}") from error
        if any(isinstance(value, dict | list) for value in told.values()):
            raise ValidationError("Each label has one value: paste the object of the labels only")
        return {str(name): value if isinstance(value, str) else json.dumps(value) for name, value in told.items()}
    labels = {}
    for line in re.split(r"\n|,\s*(?=[\w.]+=\")", text.removeprefix("{").removesuffix("}")):
        name, given, value = (part.strip() for part in line.strip().rstrip(",").partition("="))
        if not line.strip():
            continue
        if not given or not name:
            raise ValidationError(f"{line.strip()[:60]!r} is no label: write name=value")
        labels[name] = value.strip('"')
    return labels


def _template(text: str) -> str:
    rest = _BRACES.sub("", text)
    if "{" in rest or "}" in rest:
        raise ValidationError("A brace that is not closed, or empty: {namespace} quotes the label namespace")
    return text.strip()
