"""What was restated, why, and from what to what: notes beside totals, the list, and one restatement day by day."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet, Sum, Value
from django.urls import reverse

from accounting.methods.records import Range
from accounting.models import Job, LedgerHour, RestatedDay, RestatedDevice, Restatement
from accounting.models.ledger import QUANTITIES
from accounting.reports.queries import METRICS, seen
from accounting.reports.records import Sees
from accounting.reports.tables import Column, Table

MOST_NOTES = 3
DAYS_SHOWN = 31
_ENDS = ("_low", "", "_high")
_TEXT = False
QUANTITY_WORDS = {
    "it_energy_kwh": ("IT energy", "energy_kwh"),
    "facility_energy_kwh": ("Energy at the wall", "energy_kwh"),
    "co2e_location_g": ("Operational CO₂e", "carbon_g"),
    "co2e_market_g": ("Operational CO₂e, market-based", "carbon_g"),
    "embodied_g": ("Embodied CO₂e", "carbon_g"),
    "water_onsite_l": ("Water on-site", "water_l"),
    "water_offsite_l": ("Water off-site", "water_l"),
    "cost": ("Cost", "cost"),
}


@dataclass(frozen=True, slots=True)
class Note:
    """One line beside a page's totals. No grams: the page's scope is not one that was kept (a job)."""

    id: int
    at: datetime
    reason: str
    done: bool
    co2e_before_g: float | None = None
    co2e_after_g: float | None = None

    @property
    def moved(self) -> bool:
        """Whether the CO2e is another one now; else it was something else, and the page behind the link says what."""
        before, after = self.co2e_before_g, self.co2e_after_g
        return before is not None and after is not None and abs(before - after) > 1e-9 * max(before, after)


@dataclass(frozen=True, slots=True)
class QuantityLine:
    """One quantity before and after. None: not known then; nothing stands after until it is done."""

    words: str
    kind: str
    before: Range | None
    after: Range | None
    is_done: bool

    @property
    def percent(self) -> float | None:
        if self.after is None or self.before is None or not self.before.mid:
            return None
        return (self.after.mid / self.before.mid - 1) * 100


def notes(
    visibility: Sees, start: datetime, end: datetime, *, team_id: int | None = None, site_id: int | None = None
) -> list[Note]:
    """The newest restatements of whole UTC days that the period touches, with the CO2e of those days. Two queries."""
    days = _days(visibility, team_id=team_id, site_id=site_id)
    days = days.filter(day__gte=start.astimezone(UTC).date(), day__lt=_past(end))
    sums = days.values("restatement").annotate(
        before=_co2e(after=False), after=_co2e(after=True)
    ).order_by("-restatement__at", "-restatement")[:MOST_NOTES]  # fmt: skip
    found = {row["restatement"]: row for row in sums}
    rows = Restatement.objects.in_bulk(list(found))
    return [_note(rows[pk], found[pk]["before"], found[pk]["after"]) for pk in found]


def device_notes(device_id: int, start: datetime, end: datetime) -> list[Note]:
    """The same of one device: its CO2e over the hours that were restated. One query."""
    runs = RestatedDevice.objects.filter(device=device_id, first_hour__lt=end, last_hour__gte=start)
    rows = runs.select_related("restatement").order_by("-restatement__at", "-restatement")[:MOST_NOTES]
    return [_note(one.restatement, one.co2e_before_g, one.co2e_after_g) for one in rows]


def job_notes(job: Job) -> list[Note]:
    """Restatements of hours in which the job ran on a device. One query."""
    of_job = LedgerHour.objects.filter(job=job, device=OuterRef("device"))
    touched = of_job.filter(hour__gte=OuterRef("first_hour"), hour__lte=OuterRef("last_hour"))
    runs = RestatedDevice.objects.filter(Exists(touched)).values("restatement")
    return [_note(one) for one in Restatement.objects.filter(pk__in=runs)[:MOST_NOTES]]


def restatements_of(rows: Collection[LedgerHour]) -> list[Restatement]:
    """Every restatement of any of these ledger rows, the oldest first. Two queries."""
    if not rows:
        return []
    hours: dict[int, list[datetime]] = defaultdict(list)
    for row in rows:
        hours[row.device_id].append(row.hour)
    every = [hour for of in hours.values() for hour in of]
    runs = RestatedDevice.objects.filter(device__in=hours, first_hour__lte=max(every), last_hour__gte=min(every))
    found = {
        pk
        for pk, device_id, first, last in runs.values_list("restatement", "device", "first_hour", "last_hour")
        if any(first <= hour <= last for hour in hours[device_id])
    }
    return list(Restatement.objects.filter(pk__in=found).order_by("at", "pk"))


def visible(visibility: Sees) -> QuerySet[Restatement]:
    """Restatements that touched anything this person may see, the newest first."""
    return Restatement.objects.filter(pk__in=_days(visibility).values("restatement")).select_related("site", "team")


def lines(visibility: Sees, restatement: Restatement) -> list[QuantityLine]:
    """Every quantity over all restated days that this person may see. One query."""
    sums = _days(visibility).filter(restatement=restatement).values("after").annotate(**_sums()).order_by()
    by_phase = {row["after"]: row for row in sums}
    before, after = by_phase.get(False), by_phase.get(True)
    if before is None:
        return []
    found = [
        QuantityLine(words, kind, _known(before, name), _known(after, name) if after else None, after is not None)
        for name, (words, kind) in QUANTITY_WORDS.items()
    ]
    return [one for one in found if any(of and of.high for of in (one.before, one.after))]


def days_table(visibility: Sees, restatement: Restatement) -> Table:
    """Each restated day, team, project and site, every quantity before and after, in the ledger's units."""
    rows = _days(visibility).filter(restatement=restatement).select_related("team", "project", "site")
    pairs: dict[tuple[Any, ...], dict[bool, RestatedDay]] = {}
    for row in rows.order_by("day", "team__name", "project__name", "site__name", "after"):
        pairs.setdefault((row.day, row.team, row.project, row.site), {})[row.after] = row
    names = [f"{name}{end}" for name in QUANTITIES for end in _ENDS]
    both = [Column(f"{name}_{phase}", f"{_words(name)} {phase}") for name in names for phase in ("before", "after")]
    columns = [Column(name, name.capitalize(), _TEXT) for name in ("day", "team", "project", "site")]
    cells = [
        [
            key[0],
            *(str(one) if one else "" for one in key[1:]),
            *(_cell(of.get(phase), name) for name in names for phase in (False, True)),
        ]
        for key, of in pairs.items()
    ]
    return Table(f"restatement-{restatement.pk}", "Restated days", (*columns, *both), cells)


def _cell(row: RestatedDay | None, name: str) -> float | None:
    """Empty where nothing was known of it."""
    if row is None:
        return None
    no_market = name.startswith("co2e_market_g") and not row.market_kwh and row.facility_energy_kwh
    no_price = name.startswith("cost") and not row.cost_high and row.unpriced_kwh
    return None if no_market or no_price else getattr(row, name)


def short_days(visibility: Sees, restatement: Restatement) -> Table:
    """CO2e, energy, water and cost of each day before and after, for the page; the CSV has all."""
    sums = {
        f"{name}_{'after' if after else 'before'}": Sum(sum(map(F, columns), Value(0.0)), filter=Q(after=after))
        for name, columns in METRICS.items()
        for after in (False, True)
    }
    sums |= {
        f"{name}_{'after' if after else 'before'}": Sum(name, filter=Q(after=after))
        for name in ("market_kwh", "unpriced_kwh")
        for after in (False, True)
    }
    rows = list(
        _days(visibility).filter(restatement=restatement).values("day").annotate(**sums).order_by("-day")[:DAYS_SHOWN]
    )
    for row in rows:
        for phase in ("before", "after"):
            if row[f"energy_{phase}"] and not row[f"market_kwh_{phase}"]:
                row[f"co2e_market_{phase}"] = None
            if not row[f"cost_{phase}"] and row[f"unpriced_kwh_{phase}"]:
                row[f"cost_{phase}"] = None
    words = {
        "co2e": "CO₂e, g",
        "co2e_market": "Market-based CO₂e, g",
        "energy": "At the wall, kWh",
        "water": "Water, L",
        "cost": "Cost",
    }
    both = [Column(f"{name}_{p}", f"{words[name]}, {p}") for name in METRICS for p in ("before", "after")]
    cells = [[row["day"], *(row[column.key] for column in both)] for row in rows]
    return Table(f"restatement-{restatement.pk}-days", "Restated days", (Column("day", "UTC day", _TEXT), *both), cells)


def list_table(found: Sequence[Restatement]) -> Table:
    columns = (
        Column("at", "Restated on", _TEXT), Column("reason", "Because", _TEXT), Column("cause", "Cause", _TEXT),
        Column("scope", "Of", _TEXT), Column("actor", "By", _TEXT), Column("first_hour", "First hour", _TEXT),
        Column("last_hour", "Last hour", _TEXT), Column("hours", "Device-hours"), Column("state", "State", _TEXT),
        Column("factor_ids", "Factors", _TEXT),
    )  # fmt: skip
    rows = [
        [
            one.at, one.reason, one.get_cause_display(), scope_of(one), one.actor, one.first_hour, one.last_hour,
            one.hours, one.get_state_display(), " ".join(one.factor_ids),
        ]
        for one in found
    ]  # fmt: skip
    urls = [reverse("restatement", args=[one.pk]) for one in found]
    return Table("restatements", "Restatements", columns, rows, urls)


def scope_of(restatement: Restatement) -> str:
    """The one site or team it is confined to; else everything that its cause reaches."""
    if restatement.site:
        return f"site {restatement.site}"
    return f"team {restatement.team}" if restatement.team else "organisation"


def events(visibility: Sees, start: datetime, end: datetime, *, team_id: int | None = None) -> list[Restatement]:
    """Restatements made within the period, for marks on its charts. One query."""
    touched = _days(visibility, team_id=team_id).values("restatement")
    return list(Restatement.objects.filter(pk__in=touched, at__gte=start, at__lt=end)[:MOST_NOTES])


def _days(visibility: Sees, *, team_id: int | None = None, site_id: int | None = None) -> QuerySet[RestatedDay]:
    wanted = {"team": team_id, "site": site_id}
    return RestatedDay.objects.filter(seen(visibility), **{name: pk for name, pk in wanted.items() if pk is not None})


def _co2e(*, after: bool) -> Any:
    of_phase = Q(after=after)
    return Sum("co2e_location_g", filter=of_phase) + Sum("embodied_g", filter=of_phase)


def _sums() -> dict[str, Any]:
    known = {f"sum_{name}": Sum(name) for name in ("market_kwh", "unpriced_kwh")}
    return {f"sum_{name}{end}": Sum(f"{name}{end}") for name in QUANTITIES for end in _ENDS} | known


def _known(row: dict[str, Any], name: str) -> Range | None:
    """None where nothing was known of it, which is not nought: no contract and no mix, no price at all."""
    reach = _range(row, name)
    if name == "co2e_market_g" and not row["sum_market_kwh"] and row["sum_facility_energy_kwh"]:
        return None
    return None if name == "cost" and not reach.high and row["sum_unpriced_kwh"] else reach


def _range(row: dict[str, Any], name: str) -> Range:
    low, mid, high = (row[f"sum_{name}{end}"] for end in _ENDS)
    return Range(min(low, mid), mid, max(mid, high))


def _words(column: str) -> str:
    name = column.removesuffix("_low").removesuffix("_high")
    end = column.removeprefix(name).replace("_", " ")
    unit = {"carbon_g": "g", "energy_kwh": "kWh", "water_l": "L", "cost": ""}[QUANTITY_WORDS[name][1]]
    return f"{QUANTITY_WORDS[name][0]}{end}{', ' if unit else ''}{unit}"


def _past(end: datetime) -> Any:
    """The first UTC day that the period does not touch."""
    last = end.astimezone(UTC)
    whole = (last.hour, last.minute, last.second, last.microsecond) == (0, 0, 0, 0)
    return last.date() if whole else datetime.fromordinal(last.toordinal() + 1).date()


def _note(one: Restatement, before: float | None = None, after: float | None = None) -> Note:
    return Note(one.pk, one.at, one.reason, one.state == Restatement.State.DONE, before, after)
