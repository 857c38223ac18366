"""The energy of a run: as given where it is, else from power and time, else from the device's data sheet."""

from dataclasses import dataclass, replace

from accounting.estimates.place import Sourced, given
from accounting.estimates.run import Refusal, Run, near, shown
from accounting.factors import lookup, power_models
from accounting.factors.accelerators import ASSUMED, accelerators, match_accelerator
from accounting.factors.catalog import Catalog
from accounting.methods import estimate
from accounting.methods.facility import KWH, FacilityEnergy, ItEnergy, facility_energy
from accounting.methods.records import Figure, Range, Status
from accounting.methods.units import W_PER_KW

MISMATCH = 0.05
LEAST_IMPLIED_PUE = 1.0 - MISMATCH  # below it the two energies cannot be of one run
MOST_PUE = 10.0
IMPLAUSIBLE = 3.0  # times what a device can draw; less than it may be idle, so a ninth of it


@dataclass(frozen=True, slots=True)
class Energies:
    it: ItEnergy
    facility: FacilityEnergy
    it_method: str
    facility_method: str


def energies_of(catalog: Catalog, run: Run, pue: Sourced, warnings: list[str]) -> Energies:
    """Raises Refusal: nothing gives the energy, or it contradicts itself."""
    _check_device_hours(run, warnings)
    by_power = _by_power(run)
    it = _it(catalog, run, pue, by_power, warnings)
    _check(run, pue, it, by_power, warnings)
    _check_device(catalog, run, it, warnings)
    energy = ItEnergy(it.figure)
    if run.facility_energy_kwh is not None:
        facility = given(run.facility_energy_kwh, KWH, "facility_energy_kwh", status=Status.MEASURED)
        return Energies(energy, FacilityEnergy(facility.figure), it.method, facility.method)
    method = f"it_energy_kwh x {pue.method}"
    return Energies(energy, facility_energy(energy, pue.figure), it.method, method)


def device_w(catalog: Catalog, run: Run, warnings: list[str]) -> Sourced | None:
    """Mean watts of one device with its share of the node at the wall; None where the device is not known."""
    if run.power_w is not None:
        return given(run.power_w, "W", "power_w")
    if run.device is None:
        return None
    load = "" if run.utilization is None else " x utilization"
    if match := match_accelerator(run.device):
        tdp = _accelerator_tdp(catalog, run, warnings)
        if tdp is None:
            return None
        busy = " (utilization not given: as busy as metered training nodes)" if run.utilization is None else ""
        watts = power_models.node_w(catalog, match.key, tdp, devices=run.devices, load=run.utilization)
        return Sourced(watts, f"tdp x node draw{load}{busy}")
    if factor := lookup.cpu_tdp(run.device):
        watts = power_models.cpu_server_w(catalog, run.device, factor.figure, load=run.utilization)
        if run.utilization is None:
            at = power_models.number(catalog, "cpu_utilization").value
            warnings.append(f"utilization: not given: {at.mid:g} ({at.low:g} to {at.high:g}) of a CPU stands in")
        return Sourced(watts, "cpu tdp x load curve x server draw")
    return None


def is_known(device: str) -> bool:
    return match_accelerator(device) is not None or lookup.cpu_tdp(device) is not None


def _it(catalog: Catalog, run: Run, pue: Sourced, by_power: Sourced | None, warnings: list[str]) -> Sourced:
    if run.it_energy_kwh is not None:
        return given(run.it_energy_kwh, KWH, "it_energy_kwh", status=Status.MEASURED)
    if run.facility_energy_kwh is not None:
        if by_power and run.pue is None and _implies_a_pue(run.facility_energy_kwh, by_power):
            return by_power
        facility = given(run.facility_energy_kwh, KWH, "facility_energy_kwh", status=Status.MEASURED)
        return Sourced(facility.figure.over(pue.figure, KWH), f"facility_energy_kwh / {pue.method}")
    if by_power:
        if run.utilization is not None:
            warnings.append("utilization: not used: power_w is the mean draw, whatever the load")
        return by_power
    return _by_device(catalog, run, warnings)


def _by_power(run: Run) -> Sourced | None:
    if run.power_w is None or run.device_hours is None:
        return None
    kwh = run.power_w * run.device_hours / W_PER_KW
    return Sourced(Figure(Range.exact(kwh), KWH, Status.MODELLED), f"power_w x {_hours_words(run)}")


def _by_device(catalog: Catalog, run: Run, warnings: list[str]) -> Sourced:
    hours = run.device_hours
    if hours is None:
        known = "device" if run.device else "power_w" if run.power_w is not None else None
        field = "hours" if known else "it_energy_kwh"
        detail = f"hours or gpu_hours is missing beside {known}" if known else "nothing gives the energy"
        raise Refusal(
            "missing",
            field,
            f"{detail}: state it_energy_kwh, facility_energy_kwh, power_w and hours, or device and hours",
        )
    if run.device is None:
        raise Refusal("missing", "device", "hours alone give no energy: state device, power_w or it_energy_kwh")
    watts = device_w(catalog, run, warnings)
    if watts is None:
        hint = near(run.device.casefold(), _device_names())
        raise Refusal(
            "unknown_device",
            "device",
            f"device: {shown(run.device)} is not known{hint} Or state power_w or it_energy_kwh",
        )
    exact_hours = Figure(Range.exact(hours), "h", Status.MODELLED)
    energy = estimate.energy_of(watts.figure, exact_hours)
    return Sourced(energy.kwh, f"{watts.method} x {_hours_words(run)}")


def _device_names() -> list[str]:
    return [name.casefold() for a in accelerators() for name in (a.name, *(x.lstrip(ASSUMED) for x in a.aliases))]


def _accelerator_tdp(catalog: Catalog, run: Run, warnings: list[str]) -> Figure | None:
    """Where a name leaves the variant open, the commonest; as well known as that where a whole node of it is used.

    Eight and more devices of a kind whose nodes were metered are taken for such nodes: the other variants are cards.
    """
    device = run.device or ""
    match, factor = match_accelerator(device), lookup.accelerator_tdp(catalog, device)
    if match is None or factor is None or not match.family:
        return factor.figure if factor else None
    per_node = power_models.number(catalog, "devices_per_node").value.mid
    metered = catalog.find("power_model", f"node_draw_one_node/{match.key}")
    exact = catalog.find("accelerator_tdp", match.key)
    if metered and exact and (run.devices is None or run.devices >= per_node):
        factor = replace(factor, value=exact.value, status=exact.status)
    warnings.append(
        f"device: {shown(device)} leaves the variant open: {match.key} of {factor.value.mid:g} W is assumed"
    )
    return factor.figure


def _check_device_hours(run: Run, warnings: list[str]) -> None:
    if run.hours is not None and run.count is None and run.gpu_hours is None:
        warnings.append("count: not given: 1 device is assumed")
    if run.gpu_hours is None or run.hours is None or run.count is None:
        return
    product = run.hours * run.count
    if _differ(product, run.gpu_hours):
        apart = _apart(product, run.gpu_hours)
        warnings.append(f"gpu_hours: {run.gpu_hours:g} and count x hours {product:g} {apart}: gpu_hours is used")


def _check(run: Run, pue: Sourced, it: Sourced, by_power: Sourced | None, warnings: list[str]) -> None:
    """Say where what is given contradicts itself; refuse where it cannot be."""
    if run.it_energy_kwh is not None and run.facility_energy_kwh is not None:
        _check_implied_pue(run, run.it_energy_kwh, run.facility_energy_kwh, warnings)
    if by_power is None or it is by_power:
        return
    it_kwh, power_kwh = it.figure.range.mid, by_power.figure.range.mid
    if _differ(it_kwh, power_kwh):
        field = "it_energy_kwh" if run.it_energy_kwh is not None else "facility_energy_kwh"
        stated = field if run.it_energy_kwh is not None else f"{field} / {pue.method}"
        warnings.append(
            f"{field}: {stated} = {it_kwh:g} kWh and {by_power.method} = {power_kwh:g} kWh "
            f"{_apart(it_kwh, power_kwh)}: {field} is used"
        )


def _check_device(catalog: Catalog, run: Run, it: Sourced, warnings: list[str]) -> None:
    """A given energy that such devices cannot draw in such a time is likely of another unit, or of other devices."""
    is_given = run.it_energy_kwh is not None or run.facility_energy_kwh is not None
    if not is_given or run.power_w is not None or run.device_hours is None:
        return
    watts = device_w(catalog, run, [])
    if watts is None:
        return
    could = watts.figure.range.scaled(run.device_hours / W_PER_KW)
    kwh = it.figure.range.mid
    if kwh > could.high * IMPLAUSIBLE or kwh < could.low / IMPLAUSIBLE**2:
        field = "it_energy_kwh" if run.it_energy_kwh is not None else "facility_energy_kwh"
        warnings.append(
            f"{field}: {kwh:.4g} kWh of IT energy, where {shown(run.device)} draw about {could.mid:.4g} kWh in "
            f"{_hours_words(run)}: check the unit, the device and the hours"
        )


def _check_implied_pue(run: Run, it_kwh: float, facility_kwh: float, warnings: list[str]) -> None:
    if facility_kwh < it_kwh * LEAST_IMPLIED_PUE:
        raise Refusal(
            "out_of_range", "facility_energy_kwh",
            f"facility_energy_kwh: {facility_kwh:g} is less than it_energy_kwh {it_kwh:g}: that is a pue below 1",
        )  # fmt: skip
    if facility_kwh > it_kwh * MOST_PUE:
        warnings.append(
            f"facility_energy_kwh: {facility_kwh:g} is more than {MOST_PUE:g} times it_energy_kwh {it_kwh:g}: "
            "no building has such a pue; check the units"
        )
    if facility_kwh < it_kwh:
        warnings.append(
            f"facility_energy_kwh: {facility_kwh:g} is a little less than it_energy_kwh {it_kwh:g}: a pue below 1"
        )
    if run.pue is not None and _differ(facility_kwh, it_kwh * run.pue):
        warnings.append(
            f"pue: it_energy_kwh x pue = {it_kwh * run.pue:g} kWh and facility_energy_kwh {facility_kwh:g} kWh "
            f"{_apart(it_kwh * run.pue, facility_kwh)}: facility_energy_kwh is used"
        )


def _implies_a_pue(facility_kwh: float, by_power: Sourced) -> bool:
    it_kwh = by_power.figure.range.mid
    return it_kwh <= facility_kwh <= it_kwh * MOST_PUE and it_kwh > 0


def _differ(one: float, other: float) -> bool:
    low, high = sorted((one, other))
    return high > low * (1.0 + MISMATCH) * (1.0 + 1e-12)  # 105 and 100 do not: they differ by 5 %, not by more


def _apart(one: float, other: float) -> str:
    low, high = sorted((one, other))
    return f"differ by {100 * (high / low - 1):.3g} %" if low > 0 else "differ"


def _hours_words(run: Run) -> str:
    return "gpu_hours" if run.gpu_hours is not None else "count x hours"
