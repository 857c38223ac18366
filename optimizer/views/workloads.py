"""Workloads: what can be made cheaper, and the button that asks for it."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from accounting.access import audit, can_change
from optimizer.experiments.builtin import BUILTIN, add_builtin_workload
from optimizer.experiments.plan import plan
from optimizer.experiments.submit import SubmissionRefused, submit
from optimizer.forms import AddWorkloadForm, OptimizeForm, VolumeForm
from optimizer.models import Workload
from optimizer.tasks import nudge_on_commit
from optimizer.views import scope


@login_required
def index(request: HttpRequest) -> HttpResponse:
    teams = scope.own_teams(request)
    shown = scope.workloads(request).annotate(runs=Count("experiments"))
    have = {(workload.builtin, workload.team_id) for workload in shown}
    offers = [
        (facts, AddWorkloadForm(initial={"builtin": key}, teams=lacking, auto_id=f"id_{key}_%s"))
        for key, facts in BUILTIN.items()
        if (lacking := [team for team in teams if (key, team.pk) not in have])
    ]
    return render(request, "optimizer/workloads.html", {"title": "Workloads", "workloads": shown, "offers": offers})


@login_required
@require_POST
def add(request: HttpRequest) -> HttpResponse:
    form = AddWorkloadForm(request.POST, teams=scope.own_teams(request))
    if not form.is_valid():
        messages.error(request, f"Not added: {form.errors.as_text()}")
        return redirect("workloads")
    with transaction.atomic():
        workload = add_builtin_workload(form.cleaned_data["team"], form.cleaned_data["builtin"])
        audit(actor=request.user, action="workload.added", subject=workload, team=str(workload.team))
    return redirect("workload", workload.pk)


@login_required
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    workload = get_object_or_404(scope.workloads(request), pk=pk)
    if request.method == "POST":
        return _optimize(request, workload)
    return _page(request, workload, OptimizeForm(workload=workload))


@login_required
@require_POST
def volume(request: HttpRequest, pk: int) -> HttpResponse:
    workload = get_object_or_404(scope.workloads(request), pk=pk)
    scope.require_change(request, workload.team)
    form = VolumeForm(request.POST, instance=workload)
    if not form.is_valid():
        return _page(request, workload, OptimizeForm(workload=workload), volume_form=form)
    with transaction.atomic():
        form.save()
        units = workload.units_per_month
        audit(actor=request.user, action="workload.changed", subject=workload, units_per_month=units)
    messages.success(request, "Savings of later experiments are counted for this volume.")
    return redirect("workload", pk)


def _optimize(request: HttpRequest, workload: Workload) -> HttpResponse:
    scope.require_change(request, workload.team)
    form = OptimizeForm(request.POST, workload=workload)
    if not form.is_valid():
        return _page(request, workload, form)
    wanted = form.cleaned_data
    try:
        with transaction.atomic():
            experiment = submit(
                workload,
                goal=wanted["goal"],
                quality_floor_points=wanted["quality_floor_points"],
                quality_minimum=wanted["quality_minimum"],
                repeats=wanted["repeats"],
                variants=plan(workload.kind, workload.builtin, chosen=wanted["variants"]),
                created_by=request.user,
            )
            audit(actor=request.user, action="experiment.submitted", subject=experiment.pk, workload=str(workload))
            nudge_on_commit(experiment.pk)
    except SubmissionRefused as refusal:
        form.add_error(None, str(refusal))
        return _page(request, workload, form)
    return redirect("experiment", experiment.pk)


def _page(
    request: HttpRequest, workload: Workload, form: OptimizeForm, volume_form: VolumeForm | None = None
) -> HttpResponse:
    refused = bool(form.errors or (volume_form and volume_form.errors))
    context = {
        "title": workload.name,
        "crumbs": [("Workloads", reverse("workloads")), (workload.name, "")],
        "workload": workload,
        "form": form,
        "volume_form": volume_form or VolumeForm(instance=workload),
        "may_change": can_change(request.user, workload.team),
        "experiments": scope.experiments(request).filter(workload=workload)[:20],
    }
    return render(request, "optimizer/workload.html", context, status=422 if refused else 200)
