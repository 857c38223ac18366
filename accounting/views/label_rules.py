"""The page Label rules: which team, project and job a pod's or a resource's labels mean, in order, and a box to try."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Max
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounting.access import EVERYTHING, audit, can_administer, visible_to
from accounting.ingest.naming import JOB, by_rule, named, rule_of
from accounting.models import LabelRule
from accounting.reports.tables import Column, Table
from accounting.views.asking import administrators_only, csv_response
from accounting.views.label_rule_forms import EXAMPLE, RuleForm, TryForm

MOST_RULES = 200  # each is tried on every label set that comes in
FROM_NOW_ON = "It holds for what comes in from now on."


@login_required
@require_GET
def rule_list(request: HttpRequest) -> HttpResponse:
    """`?csv=rules` answers the table as a file."""
    rules = _rules(request)
    if request.GET.get("csv") == "rules":
        return csv_response(_table(rules))
    return render(request, "accounting/label_rules.html", _context(request, rules, TryForm()))


@login_required
@require_POST
def rule_try(request: HttpRequest) -> HttpResponse:
    """What the rules make of labels; nothing is stored. To htmx only the result, else the whole page."""
    rules, form = _rules(request), TryForm(request.POST)
    context = _context(request, rules, form)
    if form.is_valid() and form.cleaned_data["labels"]:
        context["tried"] = _tried(form.cleaned_data["labels"], rules, form.cleaned_data["of_site"])
    part = request.headers.get("HX-Request") == "true"
    return render(request, f"accounting/label_rules{'_tried' if part else ''}.html", context)


@administrators_only
@require_http_methods(["GET", "POST"])
def rule_new(request: HttpRequest) -> HttpResponse:
    form = RuleForm(request.POST or None, initial=EXAMPLE if "example" in request.GET else {})
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            if LabelRule.objects.count() >= MOST_RULES:
                messages.error(request, f"There are {MOST_RULES} rules already: remove one, or join several into one.")
                return redirect("label-rules")
            last = LabelRule.objects.aggregate(Max("position"))["position__max"]
            rule = form.fill(LabelRule(position=0 if last is None else last + 1))
            rule.save()
            audit(actor=request.user, action="label_rule.created", subject=_subject(rule), **_said(rule))
        messages.success(request, f"The rule is there, asked after all others. {FROM_NOW_ON}")
        return redirect("label-rules")
    return _form_page(request, form, title="New label rule", submit="Add rule")


@administrators_only
@require_http_methods(["GET", "POST"])
def rule_edit(request: HttpRequest, rule_id: int) -> HttpResponse:
    rule = get_object_or_404(LabelRule.objects.select_related("team", "site"), pk=rule_id)
    before = _said(rule)
    form = RuleForm(request.POST or None, initial=RuleForm.saying(rule))
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            form.fill(rule).save()
            audit(actor=request.user, action="label_rule.changed", subject=_subject(rule), before=before, **_said(rule))
        messages.success(request, f"The rule is changed. {FROM_NOW_ON}")
        return redirect("label-rules")
    return _form_page(request, form, title="Edit label rule", submit="Save")


@administrators_only
@require_POST
def rule_move(request: HttpRequest, rule_id: int, by: str) -> HttpResponse:
    """One place `up` or `down`."""
    if by not in ("up", "down"):
        raise Http404
    with transaction.atomic():
        rules = list(LabelRule.objects.select_for_update().order_by("position", "pk"))
        at = next((k for k, rule in enumerate(rules) if rule.pk == rule_id), None)
        to = None if at is None else at + (-1 if by == "up" else 1)
        if at is None or to is None or not 0 <= to < len(rules):
            return redirect("label-rules")
        rules[at], rules[to] = rules[to], rules[at]
        for position, rule in enumerate(rules):
            if rule.position != position:
                LabelRule.objects.filter(pk=rule.pk).update(position=position)
        audit(actor=request.user, action="label_rule.moved", subject=_subject(rules[to]), by=by, place=to + 1)
    messages.success(request, f"The rule is number {to + 1} now. {FROM_NOW_ON}")
    return redirect("label-rules")


@administrators_only
@require_POST
def rule_remove(request: HttpRequest, rule_id: int) -> HttpResponse:
    with transaction.atomic():
        rule = get_object_or_404(LabelRule.objects.select_related("team", "site"), pk=rule_id)
        audit(actor=request.user, action="label_rule.removed", subject=_subject(rule), **_said(rule))
        rule.delete()
    messages.success(request, f"The rule is removed. {FROM_NOW_ON} What it named keeps its name.")
    return redirect("label-rules")


def _rules(request: HttpRequest) -> list[LabelRule]:
    """All of them, for who may see every team."""
    if visible_to(request.user) != EVERYTHING:
        raise PermissionDenied("Only administrators and auditors may see this: label rules name every team")
    return list(LabelRule.objects.select_related("team", "site").order_by("position", "pk"))


def _context(request: HttpRequest, rules: list[LabelRule], form: TryForm) -> dict[str, Any]:
    return {
        "title": "Label rules",
        "crumbs": [("Fleet", reverse("fleet")), ("Label rules", "")],
        "rules": rules,
        "form": form,
        "administrator": can_administer(request.user),
        "example": EXAMPLE,
    }


def _tried(labels: dict[str, str], rules: list[LabelRule], site: Any) -> dict[str, Any]:
    """Whose a reading with these labels would be, and by what."""
    asked = [rule for rule in rules if site is None or rule.site_id in (None, site.pk)]
    applied = [rule_of(rule) for rule in asked]
    who, found = named(labels, applied), by_rule(labels, applied)
    if labels.get(JOB) or labels.get(JOB.replace(".", "_")):
        return {"who": who, "by": "own"}
    if found is not None:
        return {"who": who, "by": "rule", "rule": asked[found[0]], "place": rules.index(asked[found[0]]) + 1}
    return {"who": who, "by": "pod" if who else "nothing"}


def _form_page(request: HttpRequest, form: RuleForm, *, title: str, submit: str) -> HttpResponse:
    here = reverse("label-rules")
    lead = "The first rule whose every line matches names the job. A change holds for what comes in from then on."
    context = {"title": title, "form": form, "submit": submit, "cancel_url": here, "lead": lead}
    crumbs = [("Fleet", reverse("fleet")), ("Label rules", here), (title, "")]
    return render(request, "accounting/form_page.html", {**context, "crumbs": crumbs})


def _subject(rule: LabelRule) -> str:
    return ", ".join(f"{label}={expression}" for label, expression in rule.matches.items())


def _said(rule: LabelRule) -> dict[str, Any]:
    team, site = rule.team.slug if rule.team else None, rule.site.slug if rule.site else None
    return {"matches": rule.matches, "job": rule.job, "project": rule.project, "team": team, "site": site}


def _table(rules: list[LabelRule]) -> Table:
    columns = [
        Column("place", "Place"),
        *(Column(key, key.capitalize(), numeric=False) for key in ("where", "job", "team", "project", "site")),
    ]
    rows = [
        (
            place,
            "\n".join(f"{label}={expression}" for label, expression in rule.matches.items()),
            rule.job,
            rule.team.slug if rule.team else "",
            rule.project,
            rule.site.slug if rule.site else "",
        )
        for place, rule in enumerate(rules, start=1)
    ]
    return Table("label-rules", "Label rules in the order they are asked", columns, rows)
