"""Countries by the names that people write: `FR`, `FRA`, `France`."""

import csv
from functools import cache
from importlib.resources import files


def country_code(name: str) -> str | None:
    """FR for `fr`, `FRA` or `France`; None for what is no country."""
    return country_codes().get(name.strip().casefold())


@cache
def country_codes() -> dict[str, str]:
    """The two letters of every country by its two and three letters and its names (ISO 3166-1). Read once."""
    text = (files("accounting.factors") / "data" / "places" / "countries.csv").read_text("utf-8")
    rows = list(csv.reader(text.splitlines()))[1:]
    return {name.casefold(): code for code, alpha3, names in rows for name in (code, alpha3, *names.split(";"))}
