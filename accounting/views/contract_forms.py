"""What may be said of a contract: on its page, and in each row of a CSV file, by the same rules."""

import csv
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Sum
from django.utils import timezone

from accounting.factorbook import catalog
from accounting.factorbook.choices import zone_choices
from accounting.forms import LOCAL, Moment
from accounting.models import EnergyContract, Site
from accounting.reports.contracts import STATED
from accounting.views.form_groups import Group, ShownGroup, grouped

MOST_ROWS = 5_000
MOST_BYTES = 5_000_000
YES, NO = ("yes", "true", "1"), ("no", "false", "0", "")
GROUPS = (
    Group("What was bought", "As the contract or the certificate names it.", ("name", "kind", "mwh", "g_per_kwh")),
    Group("Where and when it generates", "It covers use of its vintage year only.",
        ("zone", "vintage", "start", "end", "site")),
    Group("Proof", "What a registry or an auditor asks for.", ("registry", "reference", "retired", "note")),
)  # fmt: skip


class CsvRefused(ValueError):
    """The file as a whole cannot be read; the message says why and what to do."""


class UtcMoment(Moment):
    """A time as written, in UTC: certificates are issued by UTC periods here, whatever the reader's zone."""

    input_formats = (*Moment.input_formats, "%Y-%m-%d")

    def prepare_value(self, value: Any) -> Any:
        return value.astimezone(UTC).strftime(LOCAL) if isinstance(value, datetime) else value

    def to_python(self, value: Any) -> datetime | None:
        with timezone.override(UTC):
            return super().to_python(value)


class ContractForm(forms.ModelForm):
    zone = forms.ChoiceField(
        label="Grid zone", help_text="Where it generates. By the hour only sites in it are covered."
    )
    site = forms.ModelChoiceField(
        Site.objects.all(), required=False, empty_label="Every site in its market",
        help_text="Name one where the contract is for that site alone, or was delivered there from another country.",
    )  # fmt: skip
    start = UtcMoment(label="Generates from (UTC)", required=False, help_text="Empty: the vintage year")
    end = UtcMoment(label="Until (UTC)", required=False, help_text="Exclusive. Several years: one contract a year")

    class Meta:
        model = EnergyContract
        fields = STATED
        labels = {
            "mwh": "Volume, MWh",
            "vintage": "Vintage year",
            "g_per_kwh": "Emits, g CO₂e/kWh",
            "reference": "Certificate or contract number",
            "retired": "Retired in the registry on our behalf",
        }
        help_texts = {
            "mwh": "Of the vintage year, as contracted or certified",
            "g_per_kwh": "0 for wind, solar, hydro and nuclear",
            "reference": "So that the same certificate cannot be entered twice",
            "retired": "A certificate that is not retired covers nothing",
        }
        widgets = {"note": forms.Textarea(attrs={"rows": 2})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["zone"].choices = [("", "Choose"), *zone_choices(catalog())]
        for name in ("mwh", "g_per_kwh"):
            self.fields[name].widget.attrs["step"] = "any"

    @property
    def groups(self) -> list[ShownGroup]:
        return grouped(self, GROUPS)

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        year = said.get("vintage")
        if year is None:
            return said
        first, last = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
        for name, edge in (("start", first), ("end", last)):
            if name not in self.errors:
                said[name] = said.get(name) or edge
        start, end = said.get("start"), said.get("end")
        if start is None or end is None:
            return said
        if not first <= start < last or not first < end <= last:
            raise ValidationError(
                f"{start:%Y-%m-%d} to {end:%Y-%m-%d} leaves the vintage year {year}: enter one contract a year"
            )
        if end <= start:
            self.add_error("end", f"It ends at {end:%Y-%m-%d %H:%M}, before it starts: swap the two")
        if any(moment.minute or moment.second for moment in (start, end)):
            self.add_error("start", "Whole hours only: energy is matched by the hour")
        return said

    def clean_mwh(self) -> float:
        """Its hours of generation may not add up to more than it has."""
        mwh = self.cleaned_data["mwh"]
        stated = self.instance.profile.aggregate(kwh=Sum("kwh"))["kwh"] if self.instance.pk else None
        if stated and stated / 1000 > mwh * (1 + 1e-6):
            raise ValidationError(f"Its hours of generation add up to {stated / 1000:g} MWh: replace them first")
        return mwh


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a file: what it says, and what is wrong with it."""

    line: int
    form: ContractForm
    errors: list[str]


def read_contracts(text: str) -> list[Row]:
    """Check every row of a CSV by the rules of the page.

    Raises:
        CsvRefused: no header, a missing column, no row, or too many.
    """
    rows = []
    seen: dict[tuple[str, str, str], int] = {}
    for line, cells in _lines(text, needed=("name", "kind", "zone", "mwh", "vintage")):
        form = ContractForm(_as_typed(cells))
        errors = [f"{field}: {words}" for field, many in form.errors.items() for words in many]
        if (cells.get("retired") or "").strip().lower() not in (*YES, *NO):
            errors.append(f"retired: {cells['retired']!r} is neither yes nor no")
        key = tuple((cells.get(name) or "").strip() for name in ("registry", "reference", "vintage"))
        if key[1] and key in seen:
            errors.append(f"reference: stands in line {seen[key]} too")
        seen.setdefault(key, line)
        rows.append(Row(line, form, [words.replace("__all__: ", "") for words in errors]))
    return rows


def read_profile(text: str, contract: EnergyContract) -> dict[datetime, float]:
    """Generation by hour from a CSV with the columns hour and kwh.

    Raises:
        CsvRefused: a cell cannot be read, an hour is not a full one, stands twice or lies outside the contract's
            period, or the sum exceeds its volume.
    """
    series: dict[datetime, float] = {}
    for line, cells in _lines(text, needed=("hour", "kwh")):
        hour, kwh = _hour(line, cells["hour"]), _kwh(line, cells["kwh"])
        if not contract.start <= hour < contract.end:
            raise CsvRefused(f"line {line}: {cells['hour']} lies outside the period of the contract")
        if hour in series:
            raise CsvRefused(f"line {line}: {cells['hour']} stands twice; give one row an hour")
        series[hour] = kwh
    whole_mwh = math.fsum(series.values()) / 1000
    if whole_mwh > contract.mwh * (1 + 1e-6):
        raise CsvRefused(
            f"the hours add up to {whole_mwh:g} MWh, more than the contract's {contract.mwh:g}: correct one"
        )
    return series


def _hour(line: int, written: str) -> datetime:
    try:
        moment = datetime.fromisoformat(written.strip())
    except ValueError:
        raise CsvRefused(f"line {line}: hour {written!r} is no time; write 2026-03-02T08:00Z") from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    if moment != moment.replace(minute=0, second=0, microsecond=0):
        raise CsvRefused(f"line {line}: {written} is not the start of an hour; add finer readings up first")
    return moment


def _kwh(line: int, written: str) -> float:
    try:
        kwh = float(written)
    except ValueError:
        raise CsvRefused(f"line {line}: kwh {written!r} is no number; write 12.5") from None
    if not (math.isfinite(kwh) and kwh >= 0):
        raise CsvRefused(f"line {line}: {written} kWh; generation is nought or more")
    return kwh


def _lines(text: str, *, needed: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    if len(text) > MOST_BYTES:
        raise CsvRefused(f"the file has {len(text):,} characters, more than {MOST_BYTES:,}: split it")
    reader = csv.DictReader(io.StringIO(text.lstrip("\ufeff").strip()))
    reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
    if missing := [name for name in needed if name not in reader.fieldnames]:
        raise CsvRefused(f"the first line names no column {', '.join(missing)}: it should read {','.join(needed)}, …")
    count = 0
    for count, cells in enumerate(reader, start=1):
        if count > (MOST_ROWS if "mwh" in needed else 366 * 24):
            raise CsvRefused(f"more than {count - 1} rows: split the file")
        yield reader.line_num, {key: (value or "") for key, value in cells.items() if isinstance(key, str)}
    if not count:
        raise CsvRefused("there is a header and no row under it")


def _as_typed(cells: dict[str, str]) -> dict[str, Any]:
    """Cells as the page's form would post them: a site by its slug or name, yes and no as a box."""
    said: dict[str, Any] = {name: _unguarded(cells.get(name, "")).strip() for name in STATED}
    said["retired"] = said["retired"].lower() in YES
    said["g_per_kwh"] = said["g_per_kwh"] or "0"
    if said["site"]:
        of_name = Site.objects.filter(slug=said["site"]).first() or Site.objects.filter(name=said["site"]).first()
        said["site"] = of_name.pk if of_name else said["site"]
    return said


def _unguarded(cell: str) -> str:
    """Without the apostrophe that our own export puts before what a spreadsheet would run."""
    return cell[1:] if cell[:1] == "'" and cell[1:2] in ("=", "+", "-", "@") else cell
