"""What contracts, exchange rates and servers state, as rows: for ids that ledger rows carry of them.

contract:3@annual              what a contract says that it emits
exchange:USD:2026-02-27@1-days-old    a rate, in the ledger's currency
host:3:server                  kilograms that making a server came to, where they are stated
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date

from django.conf import settings
from django.utils.dateparse import parse_date

from accounting.factors.catalog import Row
from accounting.methods.records import Factor, Range, Status
from accounting.models import EnergyContract, ExchangeRate, Host

_CONTRACT = re.compile(r"contract:(\d{1,18})(?:@\w+)?")
_EXCHANGE = re.compile(r"exchange:([A-Z]{3}):(\d{4}-\d{2}-\d{2})(?:@[\w-]+)?")
_HOST = re.compile(r"host:(\d{1,18}):server")


def stated_rows(factor_ids: Iterable[str]) -> dict[str, Row]:
    """Those that still stand. One query at most for each kind."""
    ids = list(factor_ids)
    return _contracts(_matches(_CONTRACT, ids)) | _rates(_matches(_EXCHANGE, ids)) | _servers(_matches(_HOST, ids))


def _matches(pattern: re.Pattern[str], ids: Iterable[str]) -> dict[str, re.Match[str]]:
    return {one: match for one in ids if (match := pattern.fullmatch(one))}


def _contracts(wanted: Mapping[str, re.Match[str]]) -> dict[str, Row]:
    found = EnergyContract.objects.in_bulk([int(match[1]) for match in wanted.values()]) if wanted else {}
    return {
        one: _row(
            one, "contract", str(contract), contract.g_per_kwh, "g/kWh", f"contract {contract}",
            contract.start.astimezone(UTC).date(),
        )
        for one, match in wanted.items()
        if (contract := found.get(int(match[1])))
    }  # fmt: skip


def _rates(wanted: Mapping[str, re.Match[str]]) -> dict[str, Row]:
    if not wanted:
        return {}
    into = settings.GREENAI["currency"]
    days = {day for match in wanted.values() if (day := _day(match[2]))}
    rows = ExchangeRate.objects.filter(currency__in={m[1] for m in wanted.values()}, into=into, day__in=days)
    found = {(row.currency, row.day): row for row in rows}
    return {
        one: _row(
            one, "exchange", rate.currency, rate.rate, f"{into}/{rate.currency}", rate.source or "imported", rate.day
        )
        for one, match in wanted.items()
        if (rate := found.get((match[1], _day(match[2]))))
    }


def _servers(wanted: Mapping[str, re.Match[str]]) -> dict[str, Row]:
    found = Host.objects.in_bulk([int(match[1]) for match in wanted.values()]) if wanted else {}
    return {
        one: _row(one, "embodied_server", host.name, host.server_embodied_kg, "kg", "stated of the server", date.min)
        for one, match in wanted.items()
        if (host := found.get(int(match[1]))) and host.server_embodied_kg is not None
    }


def _day(written: str) -> date | None:
    try:
        return parse_date(written)
    except ValueError:
        return None


def _row(factor_id: str, quantity: str, key: str, value: float, unit: str, source: str, since: date) -> Row:
    year = None if since == date.min else since.year
    factor = Factor(factor_id, Range.exact(value), unit, Status.MODELLED, source, year=year)
    return Row(factor, quantity, key, "", since, None, "")
