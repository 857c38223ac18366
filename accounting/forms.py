"""What people may say of their sites, machines, teams, tokens and themselves, and how it is checked."""

import zoneinfo
from datetime import UTC, datetime, timedelta
from typing import Any

from django import forms
from django.contrib.auth import password_validation
from django.core.exceptions import ValidationError
from django.utils.text import slugify

from accounting.factorbook.books import catalog_for
from accounting.factorbook.choices import region_choices, zone_choices
from accounting.factorbook.price_files import currency_of
from accounting.factors.places import cloud_regions
from accounting.models import ApiToken, Matching, Membership, Project, Site, SiteTerms, Team, User

LOCAL = "%Y-%m-%dT%H:%M"
WHOLE = "organisation"
STATED = ("pue", "wue_l_per_kwh", "electricity_price_per_kwh", "carbon_price_per_t")
MARKET = ("supplier_g_per_kwh", "residual_g_per_kwh", "grid_cfe_share")


class Moment(forms.DateTimeField):
    """A time in the reader's zone, as the browser's own picker writes it."""

    widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format=LOCAL)
    input_formats = (LOCAL, "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M")


def time_zone(**words: Any) -> forms.ChoiceField:
    names = sorted(zoneinfo.available_timezones() - {"localtime", "Factory", "posixrules"})
    return forms.ChoiceField(choices=[(name, name) for name in names], **words)


class SiteForm(forms.ModelForm):
    time_zone = time_zone(initial="UTC", help_text="For reading its hours; it says nothing about the grid")

    class Meta:
        model = Site
        fields = ("name", "time_zone")

    def clean_name(self) -> str:
        return named_once(self, Site)

    def save(self, commit: bool = True) -> Site:
        self.instance.slug = self.instance.slug or free_slug(Site, self.cleaned_data["name"])
        return super().save(commit)


class SiteTermsForm(forms.ModelForm):
    """The terms from a moment on. Saved over the terms of that very moment, where there are any."""

    valid_from = Moment(label="Holds since", help_text="Hours that began earlier keep the terms before these")
    grid_zone = forms.ChoiceField(
        label="Grid zone",
        required=False,
        help_text="Where the site draws its electricity: open the list and type the first letters. "
        "Nobody guesses it: without a zone, figures are DEFAULT.",
    )

    cloud = forms.ChoiceField(
        label="Cloud region",
        required=False,
        help_text="Where it is one: its grid, PUE and water stand in for what is not stated here.",
    )
    emission_basis = forms.ChoiceField(
        label="Hourly intensities",
        required=False,
        choices=[("", "As the organisation"), ("lifecycle", "Life cycle"), ("direct", "Direct emissions")],
        help_text="Which of a provider's hours count. The other kind is kept beside them, never mixed in.",
    )
    market_matching = forms.ChoiceField(
        label="Contracts are matched",
        required=False,
        choices=[("", "As the organisation does"), *Matching.choices],
        help_text="Market-based figure only; from the next UTC day on where it changes within a day.",
    )

    class Meta:
        model = SiteTerms
        fields = (
            "grid_zone", "valid_from", "cloud", "emission_basis", "pue", "wue_l_per_kwh", "electricity_price_per_kwh",
            "price_currency", "price_zone", "carbon_price_per_t", "carbon_price_currency", "embodied_allocation",
            "idle_policy", "market_matching", *MARKET,
        )  # fmt: skip
        labels = {
            "pue": "PUE",
            "wue_l_per_kwh": "WUE, L/kWh of IT energy",
            "electricity_price_per_kwh": "Electricity price per kWh",
            "price_currency": "Currency of the price",
            "price_zone": "Market zone of hourly prices",
            "carbon_price_per_t": "Carbon price per tonne CO₂e",
            "carbon_price_currency": "Currency of the carbon price",
            "embodied_allocation": "Embodied carbon goes to jobs",
            "idle_policy": "Idle draw of shared devices",
            "supplier_g_per_kwh": "Supplier’s factor, g/kWh",
            "residual_g_per_kwh": "Residual mix, g/kWh",
            "grid_cfe_share": "Carbon-free share of the grid, 0 to 1",
        }
        help_texts = {
            "pue": "Facility energy / IT energy, where no telemetry says. Empty: a typical value, DEFAULT.",
            "wue_l_per_kwh": "Water evaporated on site. Empty: a typical value, DEFAULT.",
            "electricity_price_per_kwh": "At the meter of the building. Empty: a typical value, DEFAULT.",
            "price_currency": "Three letters. Empty: the ledger's own.",
            "price_zone": "As the imported file calls it, for example DE-LU. Its prices go before tariff and price.",
            "carbon_price_per_t": "Optional: a tax, an allowance or your own shadow price on operational carbon.",
            "carbon_price_currency": "Three letters. Empty: the ledger's own.",
            "embodied_allocation": "By use, what a job holds and does not use stays on the line without a job.",
            "idle_policy": "Who answers for it where several jobs hold a device at once. A job alone always does.",
            "supplier_g_per_kwh": "Market-based, within the year: for what no contract covers, as the supplier states.",
            "residual_g_per_kwh": "Market-based, for what nothing covers; or a fossil factor. Empty: as published.",
            "grid_cfe_share": "For the 24/7 score. Empty: only what contracts cover counts.",
        }

    def __init__(self, *args: Any, now: datetime, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._now = now
        self.fields["grid_zone"].choices = [("", "Not stated"), *zone_choices(catalog_for(at=now))]
        self.fields["cloud"].choices = [("", "None"), *region_choices()]
        if self.instance.cloud_region:
            self.initial["cloud"] = f"{self.instance.cloud_provider}:{self.instance.cloud_region}"
        self.fields["embodied_allocation"].required = False
        for name in (*STATED, *MARKET):
            self.fields[name].widget.attrs["step"] = "any"
        self.fields["idle_policy"].required = False

    def clean_idle_policy(self) -> str:
        return self.cleaned_data["idle_policy"] or SiteTerms.IdlePolicy.KEPT

    def clean_price_currency(self) -> str:
        return currency_or_empty(self.cleaned_data["price_currency"])

    def clean_carbon_price_currency(self) -> str:
        return currency_or_empty(self.cleaned_data["carbon_price_currency"])

    def clean_embodied_allocation(self) -> str:
        """By time where a caller does not speak of it."""
        return self.cleaned_data["embodied_allocation"] or SiteTerms.Allocation.TIME

    def clean_valid_from(self) -> datetime:
        moment = self.cleaned_data["valid_from"].astimezone(UTC)
        if moment > self._now + timedelta(days=366):
            raise ValidationError(f"{moment:%Y-%m-%d} is more than a year ahead: state terms when they are known")
        return moment

    def clean(self) -> dict[str, Any]:
        """`cloud` becomes the two columns of the row."""
        said = super().clean() or {}
        provider, _, region = said.pop("cloud", "").partition(":")
        stated, drawn = said.get("grid_zone", ""), cloud_regions()[provider, region].zone if region else ""
        if stated and drawn and stated.partition("-")[0] != drawn.partition("-")[0]:
            self.add_error(
                "cloud", f"{region} draws from {drawn}, and the zone is stated as {stated}: drop one of them"
            )
        return said | {"cloud_provider": provider, "cloud_region": region}


class TeamForm(forms.ModelForm):
    class Meta:
        model = Team
        fields = ("name",)

    def clean_name(self) -> str:
        return named_once(self, Team)

    def save(self, commit: bool = True) -> Team:
        self.instance.slug = self.instance.slug or free_slug(Team, self.cleaned_data["name"])
        return super().save(commit)


class ProjectForm(forms.ModelForm):
    class Meta:
        model = Project
        fields = ("name",)

    def __init__(self, *args: Any, team: Team, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.instance.team = team

    def save(self, commit: bool = True) -> Project:
        taken = Project.objects.filter(team=self.instance.team)
        self.instance.slug = free_slug(Project, self.cleaned_data["name"], taken=taken)
        return super().save(commit)


class TokenForm(forms.Form):
    """A token is of one team, one site or the organisation: `owner` is "team:<id>", "site:<id>" or "organisation"."""

    name = forms.CharField(max_length=120, help_text="What will use it, for example: agents of the Lyon cluster")
    owner = forms.ChoiceField(
        label="Speaks for", help_text="A site's token posts for machines that teams share, and for the building"
    )
    scopes = forms.MultipleChoiceField(
        label="May", choices=ApiToken.Scope.choices, widget=forms.CheckboxSelectMultiple, initial=["ingest"]
    )
    valid_for_days = forms.TypedChoiceField(
        label="Expires",
        coerce=int,
        choices=[(30, "After 30 days"), (90, "After 90 days"), (365, "After a year"), (0, "Never")],
        initial=365,
    )

    def __init__(self, *args: Any, teams: list[Team], sites: list[Site], administrator: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._owners: dict[str, Team | Site] = {f"site:{site.pk}": site for site in sites} | {
            f"team:{team.pk}": team for team in teams
        }
        groups = (("Sites", "site", sites), ("Teams", "team", teams))
        self.fields["owner"].choices = [
            (title, [(f"{kind}:{owner.pk}", owner.name) for owner in owners])
            for title, kind, owners in groups
            if owners
        ]
        if administrator:
            self.fields["owner"].choices += [("Organisation", [(WHOLE, "All teams and sites, reading only")])]
        else:
            may = [choice for choice in ApiToken.Scope.choices if choice[0] != ApiToken.Scope.ADMIN]
            self.fields["scopes"].choices = may

    @property
    def belongs_to(self) -> dict[str, Team | Site]:
        """As `issue_token` takes it: {"team": …}, {"site": …}, or nothing for the organisation."""
        chosen = self.cleaned_data["owner"]
        return {} if chosen == WHOLE else {chosen.partition(":")[0]: self._owners[chosen]}

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        if said.get("owner") == WHOLE and said.get("scopes", [ApiToken.Scope.READ]) != [ApiToken.Scope.READ]:
            self.add_error(
                "scopes", "A token of the whole organisation may only read: choose a team or a site for more."
            )
        return said


class InviteForm(forms.Form):
    email = forms.EmailField(
        label="E-mail address", help_text="Also their user name. No mail is sent: pass the link on."
    )
    team = forms.ModelChoiceField(Team.objects.all(), required=False, empty_label="No team yet")
    role = forms.ChoiceField(label="In the team", choices=Membership.Role.choices)
    organisation_role = forms.ChoiceField(
        label="In the organisation", choices=User.OrganisationRole.choices, required=False
    )


class MembershipForm(forms.Form):
    team = forms.ModelChoiceField(Team.objects.all())
    role = forms.ChoiceField(choices=[*Membership.Role.choices, ("", "Not in this team")], required=False)


class AcceptForm(forms.Form):
    name = forms.CharField(max_length=150, label="Your name")
    password = forms.CharField(
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="At least 12 characters",
        strip=False,
    )


class ProfileForm(forms.ModelForm):
    time_zone = time_zone(label="Time zone", help_text="Times on every page are shown in it")

    class Meta:
        model = User
        fields = ("first_name", "last_name", "time_zone")


class NewPasswordForm(forms.Form):
    """For someone who is signed in; the old password is asked for only where there is one."""

    old = forms.CharField(
        label="Present password", widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}), strip=False
    )
    new = forms.CharField(
        label="New password", widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}), strip=False,
        help_text="At least 12 characters",
    )  # fmt: skip

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._user = user
        if not user.has_usable_password():
            del self.fields["old"]

    def clean_old(self) -> str:
        if not self._user.check_password(self.cleaned_data["old"]):
            raise ValidationError("This is not your present password")
        return self.cleaned_data["old"]

    def clean_new(self) -> str:
        password_validation.validate_password(self.cleaned_data["new"], self._user)
        return self.cleaned_data["new"]


def currency_or_empty(written: str) -> str:
    """Three capital letters, or nothing: the ledger's own."""
    if not written:
        return ""
    try:
        return currency_of(written)
    except ValueError as refused:
        raise ValidationError(str(refused)) from refused


def named_once(form: forms.ModelForm, model: type) -> str:
    """Names differ in more than capitals."""
    name = " ".join(form.cleaned_data["name"].split())
    if model.objects.filter(name__iexact=name).exclude(pk=form.instance.pk).exists():
        raise ValidationError(f"There is one named {name} already")
    return name


def free_slug(model: type, name: str, *, taken: Any = None) -> str:
    """A slug of the name that nothing else in the table (or in `taken`) has."""
    rows = model.objects.all() if taken is None else taken
    base = slugify(name)[:50] or model.__name__.lower()
    candidates = (base if n == 1 else f"{base}-{n}" for n in range(1, 10_000))
    return next(slug for slug in candidates if not rows.filter(slug=slug).exists())
