"""The agent in one file, and its SHA-256, for `curl` on any host. Public: one for everyone, without a secret."""

from functools import cache

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from accounting.agent.build import build

NAME = "greenai-agent.pyz"


@require_safe
@cache_control(public=True, max_age=300)
def agent_archive(request: HttpRequest) -> HttpResponse:
    archive, sha256 = _built()
    headers = {"Content-Disposition": f'attachment; filename="{NAME}"', "ETag": f'"{sha256}"'}
    return HttpResponse(archive, content_type="application/zip", headers=headers)


@require_safe
@cache_control(public=True, max_age=300)
def agent_sha256(request: HttpRequest) -> HttpResponse:
    """As sha256sum writes and reads it."""
    return HttpResponse(f"{_built()[1]}  {NAME}\n", content_type="text/plain; charset=utf-8")


@cache
def _built() -> tuple[bytes, str]:
    """Packed once a process. The build gives the same bytes each time, so all processes serve one file."""
    path = settings.DATA_DIR / "agent" / NAME
    sha256 = build(path)
    return path.read_bytes(), sha256
