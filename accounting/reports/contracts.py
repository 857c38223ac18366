"""Contracts with what is claimed of them, as a table whose CSV the import reads back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.db.models import Sum

from accounting.factorbook.contracts import KWH_PER_MWH
from accounting.models import EnergyContract, InstrumentUse, Matching
from accounting.reports.tables import Column, Table, Value

TEXT = False
STATED = (  # the columns that the import reads
    "name", "kind", "zone", "site", "mwh", "vintage", "start", "end", "g_per_kwh", "registry", "reference", "retired",
    "note",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ContractLine:
    """A contract and what all sites together claim of it, in MWh, by the rule that they are matched by."""

    contract: EnergyContract
    annual_mwh: float
    hourly_mwh: float
    has_profile: bool

    @property
    def used_mwh(self) -> float:
        return self.annual_mwh + self.hourly_mwh

    @property
    def left_mwh(self) -> float:
        """Claimed by nobody: not yet used, or generated in hours when nobody used it."""
        return max(0.0, self.contract.mwh - self.used_mwh)

    @property
    def used_share(self) -> float:
        return min(self.used_mwh / self.contract.mwh, 1.0)


@dataclass(frozen=True, slots=True)
class SiteClaim:
    """What one site claims of a contract by one rule."""

    site: str
    mode: str
    mwh: float


def contract_lines(*, pk: int | None = None) -> list[ContractLine]:
    """Every contract, or one, the newest vintage first. Three queries."""
    chosen = EnergyContract.objects.select_related("site")
    contracts = chosen.all() if pk is None else chosen.filter(pk=pk)
    used = InstrumentUse.objects.order_by().values_list("contract", "mode").annotate(Sum("kwh"))
    claimed = {(contract_id, mode): kwh / KWH_PER_MWH for contract_id, mode, kwh in used}
    profiled = dict(EnergyContract.objects.order_by().annotate(n=Sum("profile__kwh")).values_list("pk", "n"))
    return [
        ContractLine(
            contract,
            claimed.get((contract.pk, Matching.ANNUAL), 0.0),
            claimed.get((contract.pk, Matching.HOURLY), 0.0),
            profiled[contract.pk] is not None,
        )
        for contract in contracts
    ]


def site_claims(contract: EnergyContract) -> list[SiteClaim]:
    """Who claims how much of a contract. One query."""
    rows = contract.uses.order_by("site__name", "mode").values_list("site__name", "mode").annotate(Sum("kwh"))
    return [SiteClaim(name, mode, kwh / KWH_PER_MWH) for name, mode, kwh in rows]


def contracts_table(lines: Sequence[ContractLine], *, link: Callable[[EnergyContract], str]) -> Table:
    columns = (
        Column("name", "Contract", TEXT), Column("kind", "Kind", TEXT), Column("zone", "Zone", TEXT),
        Column("site", "Site", TEXT), Column("mwh", "Volume, MWh"), Column("vintage", "Vintage"),
        Column("start", "Generates from", TEXT), Column("end", "until", TEXT), Column("g_per_kwh", "g/kWh"),
        Column("registry", "Registry", TEXT), Column("reference", "Reference", TEXT),
        Column("retired", "Retired", TEXT), Column("note", "Note", TEXT),
        Column("claimed_annual_mwh", "Claimed within the year, MWh"),
        Column("claimed_hourly_mwh", "Claimed by the hour, MWh"), Column("left_mwh", "Claimed by nobody, MWh"),
    )  # fmt: skip
    rows: list[list[Value]] = [
        [
            line.contract.name, line.contract.kind, line.contract.zone,
            line.contract.site.slug if line.contract.site else "", line.contract.mwh, line.contract.vintage,
            line.contract.start, line.contract.end, line.contract.g_per_kwh, line.contract.registry,
            line.contract.reference, "yes" if line.contract.retired else "no", line.contract.note,
            line.annual_mwh, line.hourly_mwh, line.left_mwh,
        ]
        for line in lines
    ]  # fmt: skip
    return Table("contracts", "Contracts and certificates", columns, rows, [link(line.contract) for line in lines])
