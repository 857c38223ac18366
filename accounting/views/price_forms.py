"""What people say of prices: a tariff with its bands, and files of hourly prices and exchange rates."""

from datetime import datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from accounting.forms import Moment, currency_or_empty
from accounting.methods.tariff import DAY_MINUTES, MONTHS, WEEKDAYS, Band, TariffRefused, check_cover, clock
from accounting.models import Site, Tariff

BANDS_SHOWN = 4


class TariffForm(forms.Form):
    site = forms.ModelChoiceField(Site.objects.all())
    name = forms.CharField(max_length=120, help_text="As the contract calls it")
    currency = forms.CharField(max_length=3, help_text="Three letters, for example EUR")
    valid_from = Moment(label="Holds since", help_text="Hours that began earlier keep what held before")
    valid_to = Moment(label="Until", required=False, help_text="Empty: until the next tariff of the site")

    def clean_currency(self) -> str:
        return currency_or_empty(self.cleaned_data["currency"])

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        since, until = said.get("valid_from"), said.get("valid_to")
        if since and until and until <= since:
            raise ValidationError({"valid_to": "A tariff ends after it began, not before"})
        return said


class BandForm(forms.Form):
    """One line of a tariff. Days and months as `Mon-Fri`, `Sat,Sun`, `Oct-Mar`; times of the site's own clock."""

    name = forms.CharField(max_length=60, widget=forms.TextInput(attrs={"placeholder": "peak"}))
    days = forms.CharField(max_length=40, widget=forms.TextInput(attrs={"placeholder": "Mon-Fri"}))
    months = forms.CharField(max_length=60, required=False, widget=forms.TextInput(attrs={"placeholder": "all year"}))
    start = forms.CharField(max_length=5, label="From", widget=forms.TextInput(attrs={"placeholder": "07:00"}))
    end = forms.CharField(max_length=5, label="To", widget=forms.TextInput(attrs={"placeholder": "20:00"}))
    price = forms.FloatField(label="Price per kWh", widget=forms.NumberInput(attrs={"step": "any"}))

    def clean_days(self) -> frozenset[int]:
        return _members(self.cleaned_data["days"], WEEKDAYS)

    def clean_months(self) -> frozenset[int]:
        return _members(self.cleaned_data["months"] or "Jan-Dec", MONTHS)

    def clean_start(self) -> int:
        return _minute(self.cleaned_data["start"])

    def clean_end(self) -> int:
        return _minute(self.cleaned_data["end"])

    @property
    def band(self) -> Band:
        said = self.cleaned_data
        return Band(said["name"], said["days"], said["months"], said["start"], said["end"], said["price"])


class _Bands(forms.BaseFormSet):
    """Lines left empty count for nothing; the others must cover every week of the year exactly once."""

    def clean(self) -> None:
        if any(self.errors):
            return
        if not self.bands:
            raise ValidationError("A tariff has at least one line: for one price at all times, Mon-Sun 00:00 to 24:00")
        try:
            check_cover(self.bands)
        except TariffRefused as refused:
            raise ValidationError(str(refused)) from refused

    def add_fields(self, form: forms.Form, index: int | None) -> None:
        """A line that was emptied is one that was taken out."""
        super().add_fields(form, index)
        form.empty_permitted = True

    @property
    def bands(self) -> list[Band]:
        return [form.band for form in self.forms if form.has_changed() and form.is_valid()]


BandFormSet = forms.formset_factory(BandForm, formset=_Bands, extra=BANDS_SHOWN, max_num=40, absolute_max=60)


def tariff_said(tariff: Tariff) -> dict[str, Any]:
    """A tariff as its form starts out."""
    names = ("site", "name", "currency", "valid_from", "valid_to")
    return {name: getattr(tariff, name) for name in names}


def bands_said(bands: list[Band]) -> list[dict[str, Any]]:
    """Bands as their lines start out."""
    return [
        {
            "name": band.name,
            "days": spoken(band.weekdays, WEEKDAYS),
            "months": "" if len(band.months) == len(MONTHS) else spoken(band.months, MONTHS),
            "start": clock(band.start_minute),
            "end": clock(band.end_minute),
            "price": band.price_per_kwh,
        }
        for band in bands
    ]


class PriceFileForm(forms.Form):
    """A file, or its text; the text again when the preview is confirmed."""

    file = forms.FileField(required=False, label="CSV file")
    text = forms.CharField(
        required=False,
        label="Or its text",
        strip=False,
        widget=forms.Textarea(attrs={"rows": 8, "spellcheck": "false"}),
    )

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        if upload := said.get("file"):
            if upload.size > 5_000_000:
                raise ValidationError("More than 5 MB: split the file")
            try:
                said["text"] = upload.read().decode("utf-8-sig")
            except UnicodeDecodeError as error:
                raise ValidationError("The file is not UTF-8 text: save it as CSV UTF-8") from error
        if not (said.get("text") or "").strip():
            raise ValidationError("Choose a file or paste its text")
        return said


def spoken(members: frozenset[int], names: tuple[str, ...]) -> str:
    """Numbers from 1 as names, neighbours joined: {1, 2, 3, 7} of the weekdays is Mon-Wed,Sun."""
    runs: list[list[int]] = []
    for number in sorted(members):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(names[a - 1] if a == b else f"{names[a - 1]}-{names[b - 1]}" for a, b in runs)


def _members(written: str, names: tuple[str, ...]) -> frozenset[int]:
    found: set[int] = set()
    for part in written.replace(" ", "").split(","):
        first, _, last = part.partition("-")
        a, b = _place(first, names), _place(last or first, names)
        found |= set(range(a, b + 1)) if a <= b else {*range(a, len(names) + 1), *range(1, b + 1)}
    return frozenset(found)


def _place(written: str, names: tuple[str, ...]) -> int:
    for number, name in enumerate(names, start=1):
        if written.casefold()[:3] == name.casefold() or written == str(number):
            return number
    raise ValidationError(
        f"{written!r} is none of {', '.join(names)}: write {names[0]}-{names[4]}, or {names[0]},{names[2]}"
    )


def _minute(written: str) -> int:
    hours, _, minutes = written.partition(":")
    if hours.isdecimal() and minutes.isdecimal() and int(minutes) < 60:
        minute = int(hours) * 60 + int(minutes)
        if minute <= DAY_MINUTES:
            return minute
    raise ValidationError(f"{written!r} is not a time from 00:00 to 24:00")


def starts_now(now: datetime) -> datetime:
    """The hour that is running, as a form proposes it."""
    return now.replace(minute=0, second=0, microsecond=0)
