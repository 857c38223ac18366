"""What a person says beside a file of past runs."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from accounting.access import can_administer, can_change
from accounting.ingest.formats.imported import MOST_BYTES
from accounting.ingest.import_kinds import KINDS
from accounting.models import FileImport, Site, Team, User

_SLURM = ("gather", "nodes", "gpus_per_node", "cpus_per_node", "accounts")
_CODECARBON = ("pue", "host", "project")


class RunsForm(forms.Form):
    file = forms.FileField(label="File", help_text="As the tool wrote it, 64 MB at most")
    whose = forms.ChoiceField(label="Whose machines", help_text="A team’s own, or those a site shares")
    kind = forms.ChoiceField(label="What it is", required=False, help_text="By default known by its columns")
    time_zone = forms.CharField(
        label="Time zone",
        required=False,
        max_length=64,
        help_text="Of times without an offset, like Europe/Paris; empty: UTC",
        widget=forms.TextInput(attrs={"placeholder": "Europe/Paris"}),
    )
    gather = forms.ChoiceField(
        label="What the cluster measures",
        required=False,
        choices=[("node", "Whole nodes (ipmi, xcc, redfish)"), ("rapl", "CPUs (rapl)"), ("gpu", "GPUs (gpu)")],
        help_text="AcctGatherEnergyType, as scontrol show config tells it",
    )
    nodes = forms.ChoiceField(
        label="Nodes",
        required=False,
        choices=[("shared", "Jobs may share them"), ("whole", "A job has its nodes to itself")],
    )
    gpus_per_node = forms.IntegerField(
        label="GPUs of a node", required=False, min_value=1, max_value=10_000, help_text="A job with all has the node"
    )
    cpus_per_node = forms.IntegerField(label="CPUs of a node", required=False, min_value=1, max_value=10_000)
    accounts = forms.CharField(
        label="Accounts",
        required=False,
        max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 3, "placeholder": "physics = team-a/project-x"}),
        help_text="A line each. Of a team’s file, an account that is not named is a project",
    )
    pue = forms.FloatField(
        label="PUE inside", required=False, min_value=1, max_value=10, help_text="Where the file does not say"
    )
    host = forms.CharField(label="Name of the machine", required=False, max_length=255)
    project = forms.SlugField(label="Project", required=False, max_length=60, help_text="Of every run")

    def __init__(self, user: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["whose"].choices = _whose(user)
        known = [(key, words) for key, words in FileImport.Kind.choices if key in KINDS]
        self.fields["kind"].choices = [("", "Find out"), *known]

    @property
    def general(self) -> list[Any]:
        return [self[name] for name in ("file", "whose", "kind", "time_zone")]

    @property
    def groups(self) -> list[tuple[str, list[Any], bool]]:
        """Fields that some files need, by the tool; open where one was filled in or is wrong."""
        named = ((FileImport.Kind.SLURM, "Slurm", _SLURM), (FileImport.Kind.CODECARBON, "CodeCarbon", _CODECARBON))
        said = {*self.errors, *(name for name, value in self.data.items() if value)} - {"gather", "nodes"}
        return [
            (title, [self[name] for name in names], bool(said & set(names)))
            for kind, title, names in named
            if kind in KINDS
        ]

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file.size > MOST_BYTES:
            raise ValidationError(f"{file.size} bytes: more than {MOST_BYTES // 1_000_000} MB; export shorter periods")
        return file

    @property
    def team(self) -> Team | None:
        kind, _, pk = self.cleaned_data["whose"].partition(":")
        return Team.objects.get(pk=pk) if kind == "team" else None

    @property
    def site(self) -> Site | None:
        kind, _, pk = self.cleaned_data["whose"].partition(":")
        return Site.objects.get(pk=pk) if kind == "site" else None

    @property
    def stated(self) -> dict[str, str]:
        said = {name: self.cleaned_data[name] for name in ("time_zone", *_SLURM, *_CODECARBON)}
        stated = {name: str(value) for name, value in said.items() if value not in (None, "")}
        if stated.get("accounts") and self.team is not None:
            stated["accounts"] = "project\n" + stated["accounts"]
        return stated


def _whose(user: User) -> list[tuple[str, str]]:
    teams = [team for team in Team.objects.all() if can_change(user, team)]
    choices = [(f"team:{team.pk}", f"Team {team}") for team in teams]
    if can_administer(user):
        choices += [(f"site:{site.pk}", f"Site {site}") for site in Site.objects.all()]
    return choices
