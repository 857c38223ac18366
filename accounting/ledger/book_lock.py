"""Rebuilding and changing what it follows from, one after the other: no row is made from a factor that just went.

SQLite has one writer at a time anyway.
"""

from django.db import connection

_KEY = 0x626F6F6B  # "book": the key of the advisory lock, the same in every process


def share_book() -> None:
    """For a rebuild, until its transaction ends; many may hold it. Taken before any row is locked."""
    _lock("pg_advisory_xact_lock_shared")


def hold_book() -> None:
    """For a change of factors or terms, until its transaction ends: waits for the rebuilds that are under way.

    Taken before the ledger is read, so that every row it then finds, or a rebuild writes later, is as the change found
    it or as the change left it.
    """
    _lock("pg_advisory_xact_lock")


def _lock(function: str) -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {function}(%s)", [_KEY])
