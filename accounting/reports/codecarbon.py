"""A job as CodeCarbon told of it, beside what the ledger says: both figures, and why they differ."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from django.db.models import Max, Q, Sum

from accounting.factorbook.terms import terms_at, terms_of
from accounting.factors.countries import country_code
from accounting.methods.units import G_PER_KG
from accounting.models import CodeCarbonEmission, CodeCarbonRun, Host, Job
from accounting.reports.records import Totals

MOST_RUNS = 1000  # of one job that are looked at


@dataclass(frozen=True, slots=True)
class ToldByCodeCarbon:
    """Sums of what a job's runs posted, as posted: CodeCarbon's PUE and factor are in them."""

    runs: int
    posted_kwh: float
    posted_g: float
    it_kwh: float  # with the PUE taken out again
    ledger_g: float | None  # operational; None: nothing made yet
    reasons: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def factor_g_per_kwh(self) -> float | None:
        return self.posted_g / self.posted_kwh if self.posted_kwh > 0 else None


def told_by_codecarbon(job: Job, totals: Totals) -> ToldByCodeCarbon | None:
    """None where no CodeCarbon run was booked on this job. At most six queries."""
    owner = Q(experiment__team=None, team_slug=job.team.slug if job.team else "")
    if job.team_id is not None:
        owner |= Q(experiment__team=job.team_id)
    runs = list(
        CodeCarbonRun.objects.filter(owner, job_key=job.key, told_to_us__isnull=False).select_related("experiment")[
            :MOST_RUNS
        ]
    )
    if not runs:
        return None
    sums = _sums(runs)
    posted_kwh, posted_g = (sum(one[k] for one in sums.values()) for k in (0, 1))
    it_kwh = sum(sums[run.pk][0] / (run.pue_told or 1.0) for run in runs if run.pk in sums)
    notes = _notes(runs, {host.name: host for host in _hosts(runs)})
    told = ToldByCodeCarbon(len(runs), posted_kwh, posted_g, it_kwh, None, (), notes)
    if totals.status is None:
        return told
    return replace(told, ledger_g=totals.co2e_location_g.mid, reasons=_reasons(told, totals))


def _sums(runs: Sequence[CodeCarbonRun]) -> dict[object, tuple[float, float]]:
    """(kWh, g) of each run; of totals the last counts."""
    rows = CodeCarbonEmission.objects.filter(run__in=runs).order_by().values("run", "run__tells_totals")
    rows = rows.annotate(kwh=Sum("energy_kwh"), kg=Sum("emissions_kg"), k=Max("energy_kwh"), m=Max("emissions_kg"))
    return {
        row["run"]: (
            (row["k"], row["m"] * G_PER_KG) if row["run__tells_totals"] else (row["kwh"], row["kg"] * G_PER_KG)
        )
        for row in rows
    }


def _hosts(runs: Iterable[CodeCarbonRun]) -> Sequence[Host]:
    names, teams = {run.host_name for run in runs}, {run.experiment.team_id for run in runs}
    sites = {run.experiment.site_id for run in runs}
    mine = Q(team__in=teams - {None}) | Q(team=None, site__in=sites)
    return list(Host.objects.filter(mine, name__in=names).select_related("site"))


def _reasons(told: ToldByCodeCarbon, totals: Totals) -> tuple[str, ...]:
    """What makes the two figures differ, largest step first as they are computed."""
    reasons = []
    it_kwh, wall_kwh = totals.it_energy_kwh.mid, totals.facility_energy_kwh.mid
    if told.it_kwh > 0 and abs(it_kwh / told.it_kwh - 1.0) > 1e-6:
        reasons.append(
            f"energy: of the {told.it_kwh:.4g} kWh of IT energy told, the ledger counts {it_kwh:.4g} kWh on this job: "
            "a better source counts first, several trackers of one machine count once, a file may bring what got lost"
        )
    if it_kwh > 0:
        inside = told.posted_kwh / told.it_kwh if told.it_kwh else 1.0
        reasons.append(f"PUE: {inside:.3g} is in CodeCarbon's energy, {wall_kwh / it_kwh:.3g} in the ledger's")
    if wall_kwh > 0 and told.factor_g_per_kwh is not None:
        ours = totals.co2e_location_g.mid / wall_kwh
        reasons.append(
            f"grid: CodeCarbon took {told.factor_g_per_kwh:.4g} g/kWh, a mean of a year; the ledger {ours:.4g} g/kWh, "
            "of the site and the hour"
        )
    water_l = totals.water_onsite_l.mid + totals.water_offsite_l.mid
    reasons.append(
        f"not in CodeCarbon's figure: {totals.embodied_g.mid:.4g} g for making devices, and {water_l:.4g} L of water"
    )
    return tuple(reasons)


def _notes(runs: Sequence[CodeCarbonRun], hosts: dict[str, Host]) -> tuple[str, ...]:
    notes = []
    if any(run.pue_told is None for run in runs):
        notes.append(
            "CodeCarbon does not tell the PUE that is in its energy; it is taken for 1. Where the tracker has another, "
            "say it in the address: /api/codecarbon/pue/1.2"
        )
    if any(not run.host_told for run in runs):
        notes.append(
            "CodeCarbon does not tell the host; machines of one shape are one host here. Name it in the address where "
            "several are alike: /api/codecarbon/host/<name>"
        )
    lost = CodeCarbonEmission.objects.filter(run__in=runs, hole_told=True).count()
    if lost:
        notes.append(f"{lost} time{'s' if lost > 1 else ''} a post got lost on its way: that time counts as missing.")
    notes.append(
        "A last part shorter than a second is never sent; importing the run's emissions.csv brings it in without "
        "counting anything twice."
    )
    beside = _beside(runs)
    if beside:
        notes.append(
            f"{beside} other run{'s' if beside > 1 else ''} told of the same machine at the same time. Each tells all "
            "of it, so it counts once, in equal parts for their jobs."
        )
    return (*notes, *_elsewhere(runs, hosts))


def _beside(runs: Sequence[CodeCarbonRun]) -> int:
    """Runs that tell of the same whole machine over some of the same time, of the same owner."""
    either = Q(pk__in=())
    for run in runs[:50]:
        if run.mode == CodeCarbonRun.Mode.MACHINE:
            either |= Q(
                host_name=run.host_name, told_from_us__lt=run.told_to_us, told_to_us__gt=run.told_from_us,
                experiment__team=run.experiment.team_id, experiment__site=run.experiment.site_id,
            )  # fmt: skip
    found = CodeCarbonRun.objects.filter(either, mode=CodeCarbonRun.Mode.MACHINE).order_by().values_list("pk")
    several = len(set(found))
    return several - 1 if len(runs) == 1 and several > 1 else max(several - len(runs), 0)


def _elsewhere(runs: Sequence[CodeCarbonRun], hosts: dict[str, Host]) -> Sequence[str]:
    """Where the client says it ran in another country than its site's grid lies."""
    notes = set()
    for run in runs:
        host = hosts.get(run.host_name)
        told = run.experiment.place.get("country_iso_code") or run.machine.get("country_iso_code")
        country = country_code(str(told)) if told else None
        if host is None or country is None:
            continue
        if host.site_id is None:
            notes.add(f"CodeCarbon ran in {country}; {host} stands at no site here, so its energy has no grid yet.")
            continue
        terms = terms_at(terms_of([host.site_id]).get(host.site_id, []), run.began_at)
        zone = terms.grid_zone if terms else ""
        if zone and zone[:2] != country:
            notes.add(f"CodeCarbon ran in {country}; {host.site} draws from {zone}, and that grid counts.")
    return sorted(notes)
