"""What people fill in: a question to the optimizer, a decision on advice, who may use a machine."""

from typing import Any

from django import forms

from accounting.models import Team
from optimizer.experiments.builtin import BUILTIN
from optimizer.experiments.plan import candidates
from optimizer.experiments.submit import ROUNDS, fewest_rounds
from optimizer.models import Experiment, Hardware, Recommendation, Workload


class AddWorkloadForm(forms.Form):
    """Gives a built-in workload to a team."""

    builtin = forms.ChoiceField(choices=[(w.key, w.name) for w in BUILTIN.values()], widget=forms.HiddenInput)
    team = forms.ModelChoiceField(queryset=Team.objects.none(), empty_label=None)

    def __init__(self, *args: Any, teams: list[Team], **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["team"].queryset = Team.objects.filter(pk__in=[team.pk for team in teams])
        if len(teams) == 1:
            self.fields["team"].initial = teams[0]
            self.fields["team"].widget = forms.HiddenInput()


class VolumeForm(forms.ModelForm):
    class Meta:
        model = Workload
        fields = ("units_per_month",)
        labels = {"units_per_month": "Units of work a month"}

    def clean_units_per_month(self) -> float | None:
        units = self.cleaned_data["units_per_month"]
        if units is not None and units <= 0:
            raise forms.ValidationError(f"{units:g} units a month save nothing: leave it empty where it is not known")
        return units


class OptimizeForm(forms.Form):
    """The question: what is to become less, how much quality may go, and how hard to look."""

    goal = forms.ChoiceField(label="Make this as small as possible", choices=Experiment.Goal.choices)
    quality_floor_points = forms.FloatField(
        label="Quality that may be lost", min_value=0.0, max_value=100.0, initial=1.0,
        help_text="Percentage points, against the unchanged model",
    )  # fmt: skip
    quality_minimum = forms.FloatField(
        label="Quality it must keep", min_value=0.0, max_value=1.0, required=False,
        help_text="Optional: an absolute minimum between 0 and 1",
    )  # fmt: skip
    repeats = forms.IntegerField(
        label="Rounds", min_value=ROUNDS[0], max_value=ROUNDS[-1], initial=20,
        help_text="Every variant is measured once a round, in random order. More rounds: narrower intervals",
    )  # fmt: skip
    variants = forms.MultipleChoiceField(label="Try", widget=forms.CheckboxSelectMultiple)

    def __init__(self, *args: Any, workload: Workload, **options: Any) -> None:
        super().__init__(*args, **options)
        keys = [(variant.key, variant.label) for variant in candidates(workload.kind, workload.builtin)]
        self.fields["variants"].choices = keys
        self.fields["variants"].initial = [key for key, _ in keys]

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        tried, rounds = given.get("variants"), given.get("repeats")
        if tried and rounds and rounds < (least := fewest_rounds(len(tried))):
            self.add_error("repeats", f"{rounds} rounds cannot show a difference whatever comes out: at least {least}")
        return given


class DecisionForm(forms.Form):
    """Accept or dismiss; a dismissal says why."""

    state = forms.ChoiceField(choices=[("accepted", "Accept"), ("dismissed", "Dismiss")], widget=forms.HiddenInput)
    note = forms.CharField(label="Note", max_length=2000, required=False, widget=forms.Textarea(attrs={"rows": 2}))

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if given.get("state") == Recommendation.State.DISMISSED and not given.get("note", "").strip():
            self.add_error("note", "Say why, so that nobody has to find out again")
        return given


class HardwareTeamsForm(forms.ModelForm):
    class Meta:
        model = Hardware
        fields = ("teams",)
        widgets = {"teams": forms.CheckboxSelectMultiple}
        help_texts = {"teams": "None chosen: every team may use it"}
