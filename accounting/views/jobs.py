"""Jobs: the list by what they came to, and one job with what is behind its figures."""

from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from accounting.access import visible_to
from accounting.models import Job, JobMark
from accounting.reports import codecarbon, figures, holes, job_tables, jobs, provenance, restatements
from accounting.reports.device_sources import devices_of
from accounting.reports.live import running_jobs
from accounting.reports.queries import job_totals
from accounting.views.asking import asked_period, csv_response, period_context, zone

SHOWN = 200


@login_required
@require_GET
def job_list(request: HttpRequest) -> HttpResponse:
    """`?csv` answers the very list as a file."""
    period, text = asked_period(request), request.GET.get("q", "").strip()[:200]
    visibility = visible_to(request.user)
    csv = "csv" in request.GET
    lines = jobs.heaviest_jobs(visibility, period.start, period.end, limit=100_000 if csv else SHOWN, text=text)
    table = job_tables.jobs_table(lines, link=lambda line: reverse("job", args=[line.id]))
    if csv:
        return csv_response(table)
    context = {
        "title": "Jobs",
        "lines": lines,
        "text": text,
        "running": running_jobs(visibility, now=timezone.now())[:20],
        "shown": SHOWN,
        "csv_url": _with(request, csv="1"),
        **period_context(request, period),
    }
    return render(request, "accounting/jobs.html", context)


@login_required
@require_GET
def job_page(request: HttpRequest, job_id: int) -> HttpResponse:
    job = _visible_job(request, job_id)
    hours = jobs.job_hours(job)
    table = job_tables.job_hours_table(job, hours)
    if "csv" in request.GET:
        return csv_response(table)
    totals = job_totals(job)
    marks = JobMark.objects.filter(job=job).select_related("device__host").order_by("started_at_us")
    context = {
        "title": str(job),
        "crumbs": [("Jobs", reverse("jobs")), (str(job), "")],
        "job": job,
        "totals": totals,
        "codecarbon": codecarbon.told_by_codecarbon(job, totals),
        "holes": holes.job_gap_estimate(job),
        "table": table,
        "devices": list({mark.device_id: mark.device for mark in marks}.values()) or devices_of(job),
        "factors": provenance.describe(jobs.factor_ids(job)),
        "methods": jobs.methods_of(job),
        "export_query": urlencode({"job": job.key, **({"team": job.team.slug} if job.team else {})}),
        "restated": restatements.job_notes(job),
        "drivers_url": f"{reverse('drivers')}?job={job.pk}",
        "running": job.ended_at is None and any(mark.ended_at_us is None for mark in marks),
    }
    return render(request, "accounting/job.html", context)


@login_required
@require_GET
def job_energy(request: HttpRequest, job_id: int) -> JsonResponse:
    job = _visible_job(request, job_id)
    return JsonResponse(figures.job_figure(jobs.job_hours(job), zone=zone()))


@login_required
@require_GET
def job_power(request: HttpRequest, job_id: int) -> JsonResponse:
    job = _visible_job(request, job_id)
    return JsonResponse(figures.power_figure(jobs.job_power(job, now=timezone.now()), zone=zone()))


@login_required
@require_GET
def heaviest(request: HttpRequest) -> HttpResponse:
    """A fragment: the five jobs that came to most in the period. Apart, for it reads hours and not roll-ups."""
    period = asked_period(request)
    lines = jobs.heaviest_jobs(visible_to(request.user), period.start, period.end, limit=6)
    return render(request, "accounting/heaviest.html", {"lines": lines, "period": period})


def _visible_job(request: HttpRequest, job_id: int) -> Job:
    """404 for another team's job: it is not even said to exist."""
    job = get_object_or_404(Job.objects.select_related("team", "project"), pk=job_id)
    if not visible_to(request.user).shows(job.team_id):
        raise Http404
    return job


def _with(request: HttpRequest, **more: str) -> str:
    query = request.GET.copy()
    query.update(more)
    return f"?{query.urlencode()}"
