"""What people may say of their sites, machines, teams, tokens and themselves, and how it is checked."""

import zoneinfo
from typing import Any

from django import forms
from django.contrib.auth import password_validation
from django.core.exceptions import ValidationError
from django.utils.text import slugify

from accounting.factorbook.price_files import currency_of
from accounting.models import ApiToken, Membership, Project, Site, Team, User

LOCAL = "%Y-%m-%dT%H:%M"
WHOLE = "organisation"


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
