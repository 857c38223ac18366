"""Factors as an organisation sees them: the packaged catalogue, and over it what sites say of themselves."""

from functools import cache

from accounting.factors.catalog import Catalog, load_packaged


@cache
def catalog() -> Catalog:
    """The packaged catalogue, read once per process."""
    return load_packaged()
