"""Factors: every number the accounts stand on, searchable, with its range, source and licence."""

import re
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from accounting.access import can_administer
from accounting.factorbook import catalog
from accounting.factorbook.books import row_of
from accounting.factors.catalog import Row
from accounting.factors.cpus import cpu_rows
from accounting.models import OwnFactor
from accounting.reports import factor_tables
from accounting.views.asking import csv_response

SHOWN = 100  # on a page; the CSV has all that were found


@login_required
@require_GET
def factor_list(request: HttpRequest) -> HttpResponse:
    """`?csv` answers the very rows that were found as a file."""
    own = {one.factor_id: one for one in OwnFactor.objects.in_force().select_related("site", "team")}
    rows = [*map(row_of, own.values()), *catalog(), *cpu_rows().values()]
    text, quantity, year = request.GET.get("q", "").strip()[:200], request.GET.get("of", ""), _year(request)
    found = factor_tables.search(rows, text=text, quantity=quantity, year=year)
    if "csv" in request.GET:
        return csv_response(factor_tables.factors_table(found))
    page = Paginator(found, SHOWN).get_page(request.GET.get("page"))
    asked = {key: value for key, value in (("q", text), ("of", quantity), ("year", year)) if value}
    context = {
        "title": "Factors",
        "text": text,
        "found": len(found),
        "total": len(rows),
        "page": page,
        "lines": [(row, factor_tables.words_of(row.quantity), own.get(row.factor.id)) for row in page],
        "own": len(own),
        "administrator": can_administer(request.user),
        "quantities": _choices(rows, quantity),
        "years": [(known, known == year) for known in sorted({row.factor.year or 0 for row in rows}, reverse=True)],
        "csv_url": f"?{urlencode({**asked, 'csv': '1'})}",
        "page_url": f"?{urlencode(asked)}&page=" if asked else "?page=",
    }
    return render(request, "accounting/factors.html", context)


def _year(request: HttpRequest) -> int | None:
    """The year asked for; None where none is, or what was sent is no year."""
    year = request.GET.get("year", "")
    return int(year) if re.fullmatch(r"[0-9]{4}", year) else None


def _choices(rows: list[Row], current: str) -> list[tuple[str, str, bool]]:
    """(key, words, is current) of each quantity, in the order of the words."""
    quantities = {row.quantity: factor_tables.words_of(row.quantity) for row in rows}
    return sorted(((key, words, key == current) for key, words in quantities.items()), key=lambda choice: choice[1])
