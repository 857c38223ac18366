"""What the parts of a machine are made of: kilograms by part and size, whole servers, areas of dice.

`accounting.methods.components` adds them up; here they are found.
"""

from accounting.factors import lookup
from accounting.factors.catalog import Catalog
from accounting.methods import components
from accounting.methods.records import Factor, Figure

GPU_SERVER = "gpu_server_8x_without_gpus"


def component(catalog: Catalog, key: str) -> Factor:
    """Kilograms of one part, or per unit of its size as the factor's unit says.

    Keys: `cpu_base`, `cpu_die_per_mm2`, `ram_base`, `ram_per_gb`, `ram_die_per_cm2`, `ssd_base`, `ssd_per_gb`,
    `ssd_die_per_cm2`, `hdd`, `mainboard`, `psu`, `psu_per_kg`, `chassis`, `chassis_blade`, `assembly`,
    `gpu_die_per_mm2`, `gpu_vram_per_gb`, `gpu_board`, `gpu_cooling_per_w`, `gpu_assembly`.

    Raises:
        FactorDataError: no such part.
    """
    return catalog.get("embodied_component", key)


def server(catalog: Catalog, key: str) -> Factor:
    """Kilograms of a whole server: `gpu_server_8x_without_gpus`, `cpu_server_1u`, `_2u`, `_4u`, `tower_server`.

    Raises:
        FactorDataError: no such server.
    """
    return catalog.get("embodied_server", key)


def gpu(catalog: Catalog, model: str, *, memory_gb: Figure | None = None) -> Figure | None:
    """Kilograms of an accelerator from its silicon, memory and power; None where its die or its power is not known.

    Args:
        memory_gb: as the device states it; else the catalogue's for the model.
    """
    die, tdp = lookup.accelerator_die(catalog, model), lookup.accelerator_tdp(catalog, model)
    known = lookup.accelerator_memory(catalog, model)
    memory_gb = memory_gb or (known.figure if known else None)
    if die is None or tdp is None or memory_gb is None:
        return None
    return components.gpu_kg(
        die_mm2=die.figure,
        memory_gb=memory_gb,
        tdp_w=tdp.figure,
        per_mm2=component(catalog, "gpu_die_per_mm2").figure,
        per_gb=component(catalog, "gpu_vram_per_gb").figure,
        board=component(catalog, "gpu_board").figure,
        cooling_per_w=component(catalog, "gpu_cooling_per_w").figure,
        assembly=component(catalog, "gpu_assembly").figure,
    )
