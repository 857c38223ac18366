"""Where things are: the grid zone of a cloud region, the continent of a country, the subregions of a US state."""

import csv
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_ALIASES = {
    "amazon": "aws",
    "amazonwebservices": "aws",
    "microsoft": "azure",
    "microsoftazure": "azure",
    "google": "gcp",
    "googlecloud": "gcp",
    "googlecloudplatform": "gcp",
}


@dataclass(frozen=True, slots=True)
class CloudRegion:
    """A provider's region. `zone` is the grid it draws from, `geography` one of americas, emea, apac."""

    provider: str  # aws, azure or gcp
    name: str
    zone: str
    geography: str
    place: str
    source: str  # a key of sources.toml

    @property
    def key(self) -> str:
        """As the catalogue's cloud rows name it, for example `aws:us-east-1`."""
        return f"{self.provider}:{self.name}"


def provider_key(provider: str) -> str:
    """The short name of a provider, however people write it: `Amazon Web Services` is `aws`."""
    plain = re.sub(r"[^a-z0-9]", "", provider.casefold())
    return _ALIASES.get(plain, plain)


def find_cloud_region(provider: str, region: str) -> CloudRegion | None:
    """The region by its code (`us-east-1`, `eastus`); Azure's written names (`East US`) are understood too."""
    name = region.strip().casefold()
    regions = cloud_regions()
    return regions.get((provider_key(provider), name)) or regions.get((provider_key(provider), name.replace(" ", "")))


def region_code(provider: str, region: str) -> str | None:
    """The code of a region however people write it: `East US` of Azure is `eastus`; None where it is not known."""
    found = find_cloud_region(provider, region)
    return found.name if found else None


@cache
def cloud_regions() -> dict[tuple[str, str], CloudRegion]:
    """Every known region by provider and name. Read once per process."""
    rows = [CloudRegion(*row) for row in _table("cloud_regions.csv")]
    return {(region.provider, region.name): region for region in rows}


def continent_of(zone: str) -> str | None:
    """The continent of a zone's country (`europe` for LI or FR-IDF); None for what is no country."""
    return _continents().get(zone.strip().upper().partition("-")[0])


def subregions_of(zone: str) -> tuple[str, ...]:
    """The eGRID subregions of a US state (`US-SRVC`, `US-RFCW` for US-VA), its main one first; () for other zones."""
    return _subregions().get(zone.strip().upper(), ())


@cache
def _subregions() -> dict[str, tuple[str, ...]]:
    return {state: tuple(keys.split(";")) for state, keys, _ in _table("egrid_subregions.csv")}


@cache
def entsoe_areas() -> dict[str, str]:
    """The EIC code that ENTSO-E reports a zone under. Read once per process."""
    return dict(_table("entsoe_areas.csv"))


@cache
def _continents() -> dict[str, str]:
    return dict(_table("continents.csv"))


def _table(name: str) -> list[list[str]]:
    text = (files("accounting.factors") / "data" / "places" / name).read_text("utf-8")
    return list(csv.reader(text.splitlines()))[1:]
