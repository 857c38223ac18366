"""What the parts of a machine are made of: kilograms by part and size, whole servers, areas of dice.

`accounting.methods` adds them up; here they are only found.
"""

from accounting.factors.catalog import Catalog
from accounting.methods.records import Factor


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
