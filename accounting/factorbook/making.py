"""What making a device came to: stated, else published for its model, else added up from its parts, else its kind's.

What a server is made of beside its devices (board, power supplies, case, …) may be stated of its host. Its devices
carry it in equal parts: the sensors of the whole node where there are any, else the GPUs, else all of them. What a
stated server holds already (its CPUs and memory) is not counted a second time under the devices.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from accounting.factors import lookup, parts
from accounting.factors.catalog import Catalog
from accounting.methods import components
from accounting.methods.embodied import Life, embodied_rate_g_per_h
from accounting.methods.records import Figure, Range, Status
from accounting.methods.units import BYTES_PER_GB, S_PER_HOUR
from accounting.models import Device, Host

CPU_AND_MEMORY = frozenset({Device.Kind.CPU, Device.Kind.MEMORY})
PIECES = {"hdds": "hdd", "mainboards": "mainboard", "chassis": "chassis", "assemblies": "assembly"}
ASSUMED = {True: parts.GPU_SERVER, False: "cpu_server_1u"}  # by whether a node has GPUs


@dataclass(frozen=True, slots=True)
class Making:
    """A device's footprint with its part of its server's, and how it is spread over its life."""

    embodied_kg: Figure
    lifetime_h: Figure
    rate_g_per_h: Figure
    life: Life  # in seconds since 1970


@dataclass(frozen=True, slots=True)
class Server:
    """What a host is made of beside its devices, and the kinds of device that are in it already."""

    kg: Figure
    holds: frozenset[str] = frozenset()


def makings(devices: Iterable[Device], book: Catalog) -> dict[int, Making]:
    """By device id. Devices come with their hosts (select_related). One query: what else stands on these hosts."""
    wanted = list(devices)
    mates: dict[int, list[Device]] = defaultdict(list)
    for mate in Device.objects.filter(host__in={d.host_id for d in wanted}).order_by("pk"):
        mates[mate.host_id].append(mate)
    return {device.pk: _making(device, mates[device.host_id], book) for device in wanted}


def server_of(host: Host, mates: Sequence[Device], book: Catalog) -> Server | None:
    """As stated: kilograms, a whole server of the catalogue, or its parts. None where nothing is.

    A sensor of the whole node beside sensors of its parts, with nothing stated, stands for a typical server.
    """
    if host.server_embodied_kg is not None:
        return Server(_declared(host.server_embodied_kg, f"host:{host.pk}:server", book))
    if host.server_model:
        return Server(parts.server(book, host.server_model).figure, CPU_AND_MEMORY)
    if host.server_parts:
        return Server(parts_kg(host.server_parts, book), _held_by_parts(host.server_parts))
    kinds = {mate.kind for mate in mates}
    if Device.Kind.NODE in kinds and len(kinds) > 1:
        assumed = parts.server(book, ASSUMED[Device.Kind.GPU in kinds])
        return Server(assumed.figure, CPU_AND_MEMORY)
    return None


def parts_kg(sheet: Mapping[str, float], book: Catalog) -> Figure:
    """A server added up from a sheet of parts: cpus, cpu_die_mm2, ram_modules, ram_gb, ssds, ssd_gb, hdds, mainboards,
    psu_kg, chassis, assemblies; what is not in it is not counted.

    Raises:
        ValueError: an amount below nought, or no part at all.
    """
    amount = {name: float(value or 0.0) for name, value in sheet.items()}
    found = [*_cpus(amount, book), *_memory_and_drives(amount, book)]
    if weight_kg := amount.get("psu_kg"):
        found.append(components.psu_kg(weight_kg, per_kg=_part(book, "psu_per_kg")))
    for name, key in PIECES.items():
        if count := amount.get(name):
            found.append(components.pieces_kg(int(count), each=_part(book, key)))
    return components.server_kg(found)


def own_kg(device: Device, book: Catalog) -> Figure:
    """The device alone: stated, else published for its model, else by its parts, else typical of its kind."""
    if device.embodied_kg is not None:
        return _declared(device.embodied_kg, f"device:{device.pk}:embodied_kg", book)
    each = _each_kg(device, book)
    return each if device.units == 1 else each.scaled(float(device.units))


def _each_kg(device: Device, book: Catalog) -> Figure:
    kind, model, memory = device.kind, device.model, device.memory_bytes
    published = lookup.embodied(book, kind=kind, model=model, memory_bytes=memory)
    if kind == Device.Kind.GPU and published.status is Status.DEFAULT:
        return gpu_by_parts(device, book) or published.figure
    return published.figure


def gpu_by_parts(device: Device, book: Catalog) -> Figure | None:
    """An accelerator from its silicon, memory and power; None where its die or its power is not known."""
    if not device.memory_bytes:
        return parts.gpu(book, device.model)
    gb = Range.exact(device.memory_bytes / BYTES_PER_GB)
    stated = Figure(gb, "GB", Status.MODELLED, (f"device:{device.pk}:memory_bytes",))
    return parts.gpu(book, device.model, memory_gb=stated)


def _making(device: Device, mates: Sequence[Device], book: Catalog) -> Making:
    embodied_kg, lifetime_h = _with_server(device, mates, book), _lifetime_h(device, book)
    life = Life(
        acquired_s=device.acquired_at.timestamp(),
        lifetime_s=lifetime_h.range.mid * S_PER_HOUR,
        served_before_s=device.served_h_before * S_PER_HOUR,
        retired_s=None if device.retired_at is None else device.retired_at.timestamp(),
    )
    return Making(embodied_kg, lifetime_h, embodied_rate_g_per_h(embodied_kg, lifetime_h), life)


def _with_server(device: Device, mates: Sequence[Device], book: Catalog) -> Figure:
    if device.is_total and device.embodied_kg is None and any(m.kind == device.kind and not m.is_total for m in mates):
        nought = Range.exact(0.0)  # its devices carry it themselves
        return Figure(nought, "kg", Status.MODELLED, (f"host:{device.host_id}:{device.kind}",))
    server = server_of(device.host, mates, book)
    if server is None:
        return own_kg(device, book)
    carriers, stated = _carriers(mates), device.embodied_kg is not None
    if device.kind == Device.Kind.NODE and stated:
        return own_kg(device, book)  # what is stated of the node is the server
    nought = Figure(Range.exact(0.0), "kg", Status.MODELLED, (f"host:{device.host_id}:server",))
    within = not stated and (device.kind in server.holds or device.kind == Device.Kind.NODE)
    own = nought if within else own_kg(device, book)
    if device.pk not in {one.pk for one in carriers}:
        return own
    share = server.kg.scaled(1.0 / len(carriers))
    return share if within else own.plus(share)


def _carriers(mates: Sequence[Device]) -> Collection[Device]:
    for kind in (Device.Kind.NODE, Device.Kind.GPU):
        if of_kind := [mate for mate in mates if mate.kind == kind]:
            return of_kind
    return mates


def _held_by_parts(sheet: Mapping[str, float]) -> frozenset[str]:
    held = {Device.Kind.CPU: sheet.get("cpus"), Device.Kind.MEMORY: sheet.get("ram_gb")}
    return frozenset(kind for kind, amount in held.items() if amount)


def _cpus(amount: Mapping[str, float], book: Catalog) -> list[Figure]:
    """By the area of their dice; typical ones where nobody states it."""
    if not (count := int(amount.get("cpus", 0))):
        return []
    if die_mm2 := amount.get("cpu_die_mm2"):
        each = components.cpu_kg(die_mm2, base=_part(book, "cpu_base"), per_mm2=_part(book, "cpu_die_per_mm2"))
    else:
        each = lookup.embodied(book, kind=Device.Kind.CPU, model="", memory_bytes=None).figure
    return [components.pieces_kg(count, each=each)]


def _memory_and_drives(amount: Mapping[str, float], book: Catalog) -> list[Figure]:
    found = []
    if ram_gb := amount.get("ram_gb"):
        base, per_gb = _part(book, "ram_base"), _part(book, "ram_per_gb")
        found.append(components.memory_kg(ram_gb, int(amount.get("ram_modules") or 1), base=base, per_gb=per_gb))
    if ssd_gb := amount.get("ssd_gb"):
        base, per_gb = _part(book, "ssd_base"), _part(book, "ssd_per_gb")
        found.append(components.ssd_kg(ssd_gb, int(amount.get("ssds") or 1), base=base, per_gb=per_gb))
    return found


def _lifetime_h(device: Device, book: Catalog) -> Figure:
    if device.lifetime_h is None:
        return lookup.lifetime(book).figure
    return Figure(Range.exact(device.lifetime_h), "h", Status.MODELLED, (f"device:{device.pk}:lifetime_h",))


def _declared(kg: float, source: str, book: Catalog) -> Figure:
    tolerance = lookup.tolerance(book, "embodied/declared")
    return Figure(Range.exact(kg).times(tolerance.value), "kg", Status.MODELLED, (source, tolerance.id))


def _part(book: Catalog, key: str) -> Figure:
    return parts.component(book, key).figure
