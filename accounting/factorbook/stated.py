"""A figure that a site's terms state, with the id that names the terms and what such a figure may be off by."""

from datetime import UTC

from accounting.factors import lookup
from accounting.factors.catalog import Catalog
from accounting.methods.records import Figure, Range, Status
from accounting.models import SiteTerms


def stated_exactly(terms: SiteTerms, quantity: str, value: float, unit: str) -> Figure:
    """What the terms say, taken at its word: a figure of a contract has no range of its own."""
    return Figure(Range.exact(value), unit, Status.MODELLED, (_source(terms, quantity),))


def stated_in_terms(catalog: Catalog, terms: SiteTerms, quantity: str, value: float, unit: str) -> Figure:
    """What the terms say, within the tolerance of what people state."""
    tolerance = lookup.tolerance(catalog, f"{quantity}/declared")
    ids = (_source(terms, quantity), tolerance.id)
    return Figure(Range.exact(value).times(tolerance.value), unit, Status.MODELLED, ids)


def _source(terms: SiteTerms, quantity: str) -> str:
    since = terms.valid_from.astimezone(UTC)
    at_midnight = (since.hour, since.minute, since.second) == (0, 0, 0)
    day = f"{since:%Y-%m-%d}" if at_midnight else f"{since:%Y-%m-%dT%H:%M:%SZ}"
    return f"site:{terms.site.slug}:{quantity}@{day}"
