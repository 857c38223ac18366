"""What a kilowatt-hour at a site means now. Filled in with the factor book."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CarbonRate:
    pass


def carbon_rate(site, *, now):  # type: ignore[no-untyped-def]
    return CarbonRate()
