"""The carbon of making the devices that a run used, and their share of the servers they sit in."""

from accounting.estimates.energy import device_w, is_known
from accounting.estimates.place import Sourced, from_catalogue, given
from accounting.estimates.run import Run, shown
from accounting.factors import lookup, parts, power_models
from accounting.factors.accelerators import match_accelerator
from accounting.factors.catalog import Catalog
from accounting.methods.embodied import embodied_rate_g_per_h
from accounting.methods.facility import ItEnergy
from accounting.methods.records import Figure, Range, Status
from accounting.methods.units import W_PER_KW


def embodied_of(catalog: Catalog, run: Run, it: ItEnergy, warnings: list[str]) -> Sourced:
    """Grams = (kg of a device + kg of its server / devices in it) x 1000 x device hours / (lifetime x use ratio).

    With a use ratio the hours in use bear the hours in which the device waits; without one every hour bears the same.
    """
    kg = _kg_of_one(catalog, run, warnings)
    life = _lifetime(catalog, run, warnings)
    hours = _device_hours(catalog, run, it, warnings)
    used = life.figure.scaled(1.0 if run.use_ratio is None else run.use_ratio)
    grams = embodied_rate_g_per_h(kg.figure, used).times(hours.figure, "g")
    share = "" if run.use_ratio is None else " x use_ratio"
    return Sourced(grams, f"({kg.method}) x {hours.method} / ({life.method}{share})")


def _kg_of_one(catalog: Catalog, run: Run, warnings: list[str]) -> Sourced:
    if run.embodied_kg_per_device is not None and run.embodied_server_kg is None:
        warnings.append("embodied_server_kg: not given beside embodied_kg_per_device: no share of a server is added")
        return given(run.embodied_kg_per_device, "kg", "embodied_kg_per_device")
    device = _device_kg(catalog, run, warnings)
    if run.device is None and run.embodied_server_kg is None and run.embodied_kg_per_device is None:
        return device  # what was not named may be a whole server
    server, per_server = _server_kg(catalog, run, warnings), _devices_per_server(catalog, run, warnings)
    share = server.figure.over(per_server.figure, "kg")
    return Sourced(device.figure.plus(share), f"{device.method} + {server.method} / {per_server.method}")


def _device_kg(catalog: Catalog, run: Run, warnings: list[str]) -> Sourced:
    if run.embodied_kg_per_device is not None:
        return given(run.embodied_kg_per_device, "kg", "embodied_kg_per_device")
    model = run.device or ""
    if run.device and not is_known(run.device):
        warnings.append(f"device: {shown(run.device)} is not known: its making is that of any device")
    kind = "gpu" if match_accelerator(model) else "cpu" if run.device and lookup.cpu_tdp(model) else "other"
    factor = lookup.embodied(catalog, kind=kind, model=model, memory_bytes=None)
    by_parts = parts.gpu(catalog, model) if kind == "gpu" and factor.status is Status.DEFAULT else None
    if by_parts is not None:
        return Sourced(by_parts, "embodied_kg_per_device by the parts of the catalogue")
    return from_catalogue(factor, "embodied_kg_per_device", warnings)


def _server_kg(catalog: Catalog, run: Run, warnings: list[str]) -> Sourced:
    if run.embodied_server_kg is not None:
        return given(run.embodied_server_kg, "kg", "embodied_server_kg")
    if run.device is not None and match_accelerator(run.device):
        return from_catalogue(parts.server(catalog, parts.GPU_SERVER), "embodied_server_kg", warnings)
    factor = lookup.embodied(catalog, kind="node", model="", memory_bytes=None)
    return from_catalogue(factor, "embodied_server_kg", warnings)


def _devices_per_server(catalog: Catalog, run: Run, warnings: list[str]) -> Sourced:
    if run.devices_per_server is not None:
        return given(run.devices_per_server, "1", "devices_per_server")
    is_cpu = run.device is not None and not match_accelerator(run.device) and lookup.cpu_tdp(run.device) is not None
    key = "sockets_per_server" if is_cpu else "devices_per_node"
    return from_catalogue(power_models.number(catalog, key), "devices_per_server", warnings)


def _lifetime(catalog: Catalog, run: Run, warnings: list[str]) -> Sourced:
    if run.lifetime_hours is None:
        return from_catalogue(lookup.lifetime(catalog), "lifetime_hours", warnings)
    if run.hours is not None and run.hours > run.lifetime_hours:
        warnings.append(
            f"lifetime_hours: {run.hours:g} hours are more than the lifetime of {run.lifetime_hours:g} hours"
        )
    return given(run.lifetime_hours, "h", "lifetime_hours")


def _device_hours(catalog: Catalog, run: Run, it: ItEnergy, warnings: list[str]) -> Sourced:
    """As stated, else the time in which such devices draw this energy."""
    if run.device_hours is not None:
        words = "gpu_hours" if run.gpu_hours is not None else "count x hours"
        return Sourced(Figure(Range.exact(run.device_hours), "h", Status.MODELLED), words)
    watts = device_w(catalog, run, [])
    if watts is None or watts.figure.range.low <= 0:
        tdp = power_models.number(catalog, "any_accelerator_tdp").figure
        watts = Sourced(power_models.node_w(catalog, "", tdp, devices=None, load=None), "any accelerator")
    warnings.append(f"hours: not given: the device hours are those in which {watts.method} draws the energy")
    hours = it.kwh.scaled(W_PER_KW, "Wh").over(watts.figure, "h")
    return Sourced(hours, f"it_energy_kwh / ({watts.method})")
