"""Files of past runs: how they come in, what came of them, and how they are taken back."""

from itertools import islice
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounting.access import EVERYTHING, audit, can_change, visible_to
from accounting.ingest import imports
from accounting.ingest.formats.imported import ImportRefused
from accounting.ingest.import_kinds import kind_of
from accounting.ledger.imported import ImportKeeper
from accounting.models import FileImport, HeldFile, User
from accounting.reports.imports import import_lines, imports_table
from accounting.tasks import take_held_files
from accounting.views.asking import csv_response
from accounting.views.import_forms import RunsForm

_CRUMB = ("Imports", "/imports/")
_SHOWN_ROWS = 10


@login_required
@require_GET
def imports_page(request: HttpRequest) -> HttpResponse:
    """`?csv=imports` answers the table as a file. While one is being taken in, the page comes again by itself."""
    lines = import_lines(_visible(request.user))
    table = imports_table(lines)
    if request.GET.get("csv") == "imports":
        return csv_response(table)
    may = {line.pk for line in lines if can_change(request.user, line.of.team)}
    running = any(line.is_running for line in lines)
    context = {"title": "Imports", "lines": lines, "may": may, "may_bring": _may_bring(request), "running": running}
    reply = render(request, "accounting/imports.html", context)
    if running:
        reply["Refresh"] = "5"
    return reply


@login_required
@require_http_methods(["GET", "POST"])
def import_new(request: HttpRequest) -> HttpResponse:
    """A file is read and shown, with what is wrong by line; nothing is stored before it is confirmed."""
    if not _may_bring(request):
        raise PermissionDenied("Only administrators and members of a team may import")
    form = RunsForm(request.user, request.POST or None, request.FILES or None)
    context: dict[str, Any] = {"title": "Import runs", "form": form, "crumbs": [_CRUMB, ("New", "")]}
    if request.method == "POST" and form.is_valid():
        context |= _preview(form, request.user)
    return render(request, "accounting/import_new.html", context)


@login_required
@require_POST
def import_confirm(request: HttpRequest, held_id: int) -> HttpResponse:
    """Take in what was shown to this person: a small file now, a large one in the background."""
    held = HeldFile.objects.filter(pk=held_id, held_by=request.user).select_related("team", "site").first()
    if held is None:
        messages.error(request, "That preview is gone: choose the file again.")
        return redirect("import-new")
    _refuse_others(request.user, held.team)
    with transaction.atomic():
        brought = imports.confirm(held, now=timezone.now())
        whose = str(held.team or held.site)
        audit(actor=request.user, action="runs.imported", subject=brought.file_name, kind=brought.kind, whose=whose)
    _take(request, held.pk, brought)
    return redirect("imports")


@login_required
@require_POST
def import_again(request: HttpRequest, import_id: int) -> HttpResponse:
    """Go on with one that broke off: what is here already is passed over."""
    brought = get_object_or_404(_visible(request.user), pk=import_id, withdrawn_at=None)
    _refuse_others(request.user, brought.team)
    if HeldFile.objects.filter(file_import=brought).update(claimed_at=None):
        transaction.on_commit(take_held_files.delay)
        messages.info(request, f"{brought.file_name} is being taken in.")
    return redirect("imports")


@login_required
@require_POST
def import_withdraw(request: HttpRequest, import_id: int) -> HttpResponse:
    """Take back what a file brought; what was reported with it is kept as a restatement."""
    brought = get_object_or_404(_visible(request.user), pk=import_id, withdrawn_at=None)
    _refuse_others(request.user, brought.team)
    if HeldFile.objects.filter(file_import=brought).exclude(claimed_at=None).exists() and _state(brought) == "running":
        messages.error(request, "It is being taken in: withdraw it when that is done.")
        return redirect("imports")
    now = timezone.now()
    reason = f"runs of {brought.file_name} were withdrawn (import {brought.pk})"
    try:
        imports.withdraw(brought, keeper=ImportKeeper(reason=reason, actor=request.user, now=now), now=now)
    except imports.Sealed as why:
        messages.error(request, f"Not withdrawn: {why}.")
        return redirect("imports")
    audit(actor=request.user, action="runs.withdrawn", subject=brought.file_name, kind=brought.kind)
    messages.success(request, f"{brought.file_name} is withdrawn. The ledger is made again without it.")
    return redirect("imports")


def _take(request: HttpRequest, held_id: int, brought: FileImport) -> None:
    held = HeldFile.objects.select_related("team", "site", "file_import").filter(pk=held_id).first()
    if held is None:
        return  # confirmed twice, and taken in already
    if len(bytes(held.body)) < 100_000 and HeldFile.objects.filter(pk=held_id, claimed_at=None).update(
        claimed_at=timezone.now()
    ):
        now = timezone.now()
        reason = f"runs of {held.file_name} were imported (import {brought.pk})"
        try:
            imports.go_on(held, keeper=ImportKeeper(reason=reason, actor=request.user, now=now), now=now)
        except Exception as error:
            imports.fail(brought, str(error))
            raise
        messages.success(request, f"{held.file_name} is in. The ledger is being made.")
        return
    take_held_files.delay()
    messages.info(request, f"{held.file_name} is being taken in, in the background.")


def _preview(form: RunsForm, user: User) -> dict[str, Any]:
    file, team, site, stated = form.cleaned_data["file"], form.team, form.site, form.stated
    body = file.read()
    try:
        kind = form.cleaned_data["kind"] or kind_of(body)
        found = imports.read(kind, body, team=team, stated=stated)
    except ImportRefused as refused:
        return {"refused": str(refused)}
    seen = imports.preview(found, team=team, site=site)
    shown = {
        "seen": seen,
        "found": found,
        "name": file.name,
        "whose": team or site,
        "kind": FileImport.Kind(kind).label,
    }
    if seen.may_be_taken:
        shown["rows"] = _rows(found.batch)
        shown["held"] = imports.hold(
            body, kind=kind, team=team, site=site, file_name=file.name, stated=stated, by=user, now=timezone.now()
        )
    return shown


def _rows(batch: Any) -> list[dict[str, Any]]:
    """The first jobs of a file, with where they ran and what is told of them."""
    joules: dict[str, float] = {}
    hosts: dict[str, set[str]] = {}
    for span in batch.energy_spans:
        joules[span.job] = joules.get(span.job, 0.0) + (span.energy_j or 0.0)
        hosts.setdefault(span.job, set()).add(span.host)
    return [
        {
            "job": job,
            "hosts": len(hosts.get(job.job, ())),
            "host": min(hosts.get(job.job, {""})),
            "kwh": joules[job.job] / 3.6e6 if job.job in joules else None,
        }
        for job in islice(batch.jobs, _SHOWN_ROWS)
    ]


def _visible(user: Any) -> QuerySet[FileImport]:
    visibility = visible_to(user)
    rows = FileImport.objects.select_related("team", "site", "imported_by")
    return rows if visibility == EVERYTHING else rows.filter(team__in=visibility.team_ids or ())


def _may_bring(request: HttpRequest) -> bool:
    return bool(RunsForm(request.user).fields["whose"].choices)  # type: ignore[attr-defined]


def _refuse_others(user: Any, team: Any) -> None:
    if not can_change(user, team):
        raise PermissionDenied("Only administrators and members of the team may do this")


def _state(brought: FileImport) -> str:
    return str(brought.brought.get("state", ""))
