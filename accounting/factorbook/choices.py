"""Places as forms offer them: every zone of the catalogue, every cloud region of the packaged table."""

from accounting.factors.catalog import Catalog
from accounting.factors.places import cloud_regions

CLOUDS = {"aws": "AWS", "azure": "Azure", "gcp": "Google Cloud"}
Choices = list[tuple[str, list[tuple[str, str]]]]


def region_choices() -> Choices:
    """Every region of the packaged table, by provider."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for region in cloud_regions().values():
        groups.setdefault(CLOUDS[region.provider], []).append((region.key, f"{region.name} ({region.place})"))
    return list(groups.items())


def zone_choices(catalog: Catalog) -> Choices:
    """Every zone with a factor, by name: countries first, then the parts of each country that has any."""
    rows = [row for row in catalog if row.quantity == "grid_intensity" and row.key != "world"]
    named = {row.key: row.page or row.key for row in rows}  # the page names the place
    groups: dict[str, list[tuple[str, str]]] = {"Countries": []}
    for key, name in sorted(named.items(), key=lambda zone: zone[1]):
        country, _, part = key.partition("-")
        group = f"{named.get(country, country)}, by part" if part else "Countries"
        groups.setdefault(group, []).append((key, f"{name} ({key})"))
    return list(groups.items())
