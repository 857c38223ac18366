"""Ledger rows that reports and pages are tested on: every quantity a fixed multiple of the energy, so that sums are
easy to check by hand. Roll-ups come from the ledger's own code."""

from datetime import UTC, datetime, timedelta

from accounting.ledger.rollups import roll_up
from accounting.models import Device, DeviceSample, Host, Job, LedgerHour, Membership, Project, Site, Team, User

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
NINE = datetime(2026, 3, 10, 9, tzinfo=UTC)  # a full hour
NOW = NINE + timedelta(minutes=20)

# per kWh of IT energy
FACILITY, CO2E_G, ONSITE_L, OFFSITE_L, COST = 1.5, 300.0, 0.5, 2.0, 0.25
EMBODIED_G = 10.0  # per hour
LOW, HIGH = 0.5, 2.0  # of every quantity


def everything() -> object:
    return sees(None, unattributed=True)


def sees(team_ids: set[int] | None, *, unattributed: bool = False) -> object:
    from accounting.access import Visibility

    return Visibility(None if team_ids is None else frozenset(team_ids), unattributed)


def a_team(name: str = "Vision") -> Team:
    return Team.objects.create(name=name, slug=name.lower().replace(" ", "-"))


def a_user(
    name: str = "ada", *, team: Team | None = None, role: str = Membership.Role.MEMBER, **fields: object
) -> User:
    user = User.objects.create(username=name, **fields)
    if team is not None:
        Membership.objects.create(user=user, team=team, role=role)
    return user


def an_administrator(name: str = "root") -> User:
    return a_user(name, organisation_role=User.OrganisationRole.ADMINISTRATOR)


def a_device(
    key: str = "gpu-0", *, host: str = "node-1", site: Site | None = None, team: Team | None = None, **fields: object
) -> Device:
    on, _ = Host.objects.get_or_create(name=host, site=site, team=team)
    return Device.objects.create(host=on, key=key, **({"kind": "gpu", "acquired_at": NINE - 90 * DAY} | fields))


def ledger_hour(
    device: Device, hour: datetime = NINE, *, kwh: float = 1.0, team: Team | None = None,
    project: Project | None = None, job: Job | None = None, measured: bool = True, status: str = "MODELLED",
    covered_s: float = 3600.0, missing_s: float = 0.0,
) -> LedgerHour:  # fmt: skip
    """One row with its roll-ups. The job's team and project, where a job is given."""
    mids = {
        "it_energy_kwh": kwh,
        "facility_energy_kwh": kwh * FACILITY,
        "co2e_location_g": kwh * CO2E_G,
        "embodied_g": EMBODIED_G,
        "water_onsite_l": kwh * ONSITE_L,
        "water_offsite_l": kwh * OFFSITE_L,
        "cost": kwh * COST,
    }
    ends = {f"{name}{end}": mid * by for name, mid in mids.items() for end, by in (("_low", LOW), ("_high", HIGH))}
    row = LedgerHour.objects.create(
        device=device, hour=hour, job=job, team=job.team if job else team, project=job.project if job else project,
        site=device.host.site, energy_status="MEASURED", status=status, factor_ids=["intensity:FR:2023"],
        method="2026.1", rebuilt_at=hour, covered_s=covered_s, missing_s=missing_s,
        measured_kwh=kwh if measured else 0.0, **mids, **ends,
    )  # fmt: skip
    roll_up({(device.pk, hour)})
    return row


def sample(device: Device, at: datetime, watts: float | None = 100.0, **fields: object) -> DeviceSample:
    given = {"source": 2, "measured": True, "epoch": 1, "received_at_us": 0, **fields}
    return DeviceSample.objects.create(
        device=device, measured_at_us=round(at.timestamp() * 1e6), power_w=watts, **given
    )
