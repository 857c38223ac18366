"""What people may state of their own factors. Forms only carry it: `accounting.factorbook.own_rules` judges."""

from datetime import UTC, datetime
from typing import Any

from django import forms

from accounting.factorbook import catalog
from accounting.factorbook.own_rules import Problem, Stated, known_key
from accounting.forms import LOCAL
from accounting.models import OwnFactor, Site, Team
from accounting.reports.factor_tables import words_of
from accounting.views.form_groups import Group, ShownGroup, grouped

_ORGANISATION = "organisation"
GROUPS = (
    Group("Which figure", "What it stands in place of, and for whom.", ("quantity", "key", "scope")),
    Group(
        "Its value",
        "Nine times out of ten the true value lies between low and high. Both empty: exact.",
        ("value", "low", "high", "unit", "status"),
    ),
    Group(
        "Why, and who says so", "Auditors read this beside every figure that follows from it.",
        ("reason", "source", "url", "page"),
    ),
    Group("Hours", "In full hours of UTC. Empty: for all the past, and until further notice.",
        ("valid_from", "valid_to"), rare=True),
    Group("More of the source", "For the record and for exports.", ("year", "licence", "note"), rare=True),
)  # fmt: skip


class UtcHour(forms.DateTimeField):
    """A full hour, UTC whatever the reader's own zone is: the ledger's hours are."""

    widget = forms.DateTimeInput(attrs={"type": "datetime-local", "step": "3600"}, format=LOCAL)
    input_formats = (LOCAL, "%Y-%m-%dT%H:%M:%S")

    def to_python(self, value: Any) -> datetime | None:
        moment = forms.DateTimeField.to_python(self, value)
        return moment.replace(tzinfo=UTC) if moment else None

    def prepare_value(self, value: Any) -> Any:
        return value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) else value


class OwnFactorForm(forms.Form):
    field_order = (
        "quantity", "key", "unit", "scope", "value", "low", "high", "status", "reason", "source",
        "valid_from", "valid_to",
    )  # fmt: skip
    quantity = forms.ChoiceField()
    key = forms.CharField(label="Of", max_length=120, help_text="As the page of factors has it: FR, gpu, default, EUR")
    value = forms.FloatField()
    low = forms.FloatField(required=False)
    high = forms.FloatField(required=False)
    unit = forms.CharField(max_length=30, help_text="1 for a ratio")
    status = forms.ChoiceField(choices=OwnFactor.Status.choices, initial=OwnFactor.Status.MODELLED)
    scope = forms.ChoiceField(label="Holds for", help_text="A site goes before a team, a team before the organisation")
    valid_from = UtcHour(label="From, UTC", required=False, help_text="A full hour; empty: for all the past")
    valid_to = UtcHour(label="To, UTC", required=False, help_text="The first hour it no longer holds for; empty: open")
    source = forms.CharField(max_length=300, help_text="Who says so: report, contract, meter")
    url = forms.CharField(label="Address", required=False, max_length=500)
    page = forms.CharField(required=False, max_length=200, help_text="Where in the source")
    year = forms.IntegerField(required=False, min_value=1900, max_value=2200)
    licence = forms.CharField(required=False, max_length=120)
    note = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 2}))
    reason = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 2}), help_text="Why this figure and not the packaged one: auditors read it"
    )

    def __init__(self, *args: Any, corrects: OwnFactor | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        quantities = dict.fromkeys(row.quantity for row in catalog())
        self.fields["quantity"].choices = sorted(((one, words_of(one)) for one in quantities), key=lambda c: c[1])
        self.fields["scope"].choices = _scopes()
        for name in ("value", "low", "high"):
            self.fields[name].widget.attrs["step"] = "any"
        if corrects is not None:  # another quantity, key or scope is another factor
            for name in ("quantity", "key", "unit", "scope"):
                self.fields[name].disabled = True

    @property
    def groups(self) -> list[ShownGroup]:
        return grouped(self, GROUPS)

    def stated(self) -> Stated:
        said = dict(self.cleaned_data)
        kind, _, pk = said.pop("scope").partition(":")
        value = said["value"]
        said |= {end: value if said[end] is None else said[end] for end in ("low", "high")}
        said["key"] = known_key(catalog(), said["quantity"], said["key"])
        owner = {f"{kind}_id": int(pk)} if pk else {}
        return Stated(**said, **owner)

    def refuse(self, problems: list[Problem]) -> None:
        """Put each problem where it belongs."""
        for problem in problems:
            self.add_error(problem.column if problem.column in self.fields else None, str(problem))


class WithdrawForm(forms.Form):
    reason = forms.CharField(widget=forms.Textarea(attrs={"rows": 2}), help_text="Why it no longer holds")


class ImportForm(forms.Form):
    """A file, or its text: the preview hands the text on, so that what was looked at is what is written."""

    file = forms.FileField(label="CSV file", required=False)
    text = forms.CharField(label="Or its lines", required=False, strip=False, widget=forms.Textarea(attrs={"rows": 6}))
    scope = forms.ChoiceField(label="Rows that name no site and no team hold for", required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["scope"].choices = _scopes()

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        if said.get("file"):
            try:
                said["text"] = said["file"].read().decode("utf-8-sig")
            except UnicodeDecodeError:
                raise forms.ValidationError("The file is not UTF-8 text: save it as CSV UTF-8") from None
        if not said.get("text", "").strip():
            raise forms.ValidationError("Choose a file, or paste its lines")
        return said

    def owner(self) -> dict[str, Site | Team | None]:
        kind, _, pk = (self.cleaned_data.get("scope") or _ORGANISATION).partition(":")
        site = Site.objects.get(pk=pk) if kind == "site" else None
        return {"site": site, "team": Team.objects.get(pk=pk) if kind == "team" else None}


def scope_key(factor: OwnFactor) -> str:
    if factor.site_id is not None:
        return f"site:{factor.site_id}"
    return f"team:{factor.team_id}" if factor.team_id is not None else _ORGANISATION


def _scopes() -> list[tuple[str, Any]]:
    sites = [(f"site:{one.pk}", f"Site {one.name}") for one in Site.objects.all()]
    teams = [(f"team:{one.pk}", f"Team {one.name}") for one in Team.objects.all()]
    groups = [(title, choices) for title, choices in (("Sites", sites), ("Teams", teams)) if choices]
    return [(_ORGANISATION, "The whole organisation"), *groups]
