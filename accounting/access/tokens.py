"""Keys of programs: `gai_<public>_<secret>`, shown once, kept as the SHA-256 of the secret.

A plain hash is enough because the secret is 256 random bits: there is nothing to guess, and a slow hash would cost the
telemetry path more than the database does.
"""

import hashlib
import hmac
import re
import secrets
import string
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from accounting.access.audit import audit
from accounting.models import ApiToken, Site, Team, User

PUBLIC_ALPHABET = string.ascii_lowercase + string.digits
WRITTEN = re.compile(r"gai_([a-z0-9]{8})_([A-Za-z0-9_-]{43})")
LAST_USED_EVERY = timedelta(minutes=1)  # a write per request would cost more than the request


class AccessDenied(Exception):
    """Not let in. `status` is 401 (who are you?) or 403 (not this); `detail` is for the person who reads the log."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


@transaction.atomic
def issue_token(
    *,
    name: str,
    scopes: Iterable[str],
    team: Team | None = None,
    site: Site | None = None,
    created_by: User | None = None,
    expires_at: datetime | None = None,
) -> tuple[ApiToken, str]:
    """Make a token and the secret that is shown this once. Neither team nor site: it reads the whole organisation.

    Raises:
        ValueError: no scope or an unknown one; a team and a site; more than reading for the whole organisation.
    """
    wanted = sorted(set(scopes))
    if not wanted or not set(wanted) <= set(ApiToken.Scope.values):
        raise ValueError(f"scopes {wanted}: choose at least one of {', '.join(ApiToken.Scope.values)}")
    if team is not None and site is not None:
        raise ValueError(f"token {name!r} is of a team or of a site, not of both")
    if team is None and site is None and wanted != [ApiToken.Scope.READ]:
        raise ValueError(f"token {name!r} of the whole organisation may only read: give it a team or a site for more")
    public_id = "".join(secrets.choice(PUBLIC_ALPHABET) for _ in range(8))
    secret = secrets.token_urlsafe(32)
    token = ApiToken.objects.create(
        public_id=public_id,
        secret_sha256=_sha256(secret),
        name=name,
        scopes=wanted,
        team=team,
        site=site,
        created_by=created_by,
        expires_at=expires_at,
    )
    audit(
        actor=created_by or "system",
        action="token.issued",
        subject=token,
        scopes=wanted,
        owner=str(team or site or "organisation"),
    )
    return token, f"gai_{public_id}_{secret}"


def authenticate(authorization: str | None, *, scope: str, now: datetime) -> ApiToken:
    """The token behind an `Authorization: Bearer gai_…` header. One query, rarely two; team and site come when asked.

    Raises:
        AccessDenied: 401 when missing, malformed, unknown, expired or revoked; 403 without the scope.
    """
    if not authorization:
        raise AccessDenied(401, "no Authorization header: send `Authorization: Bearer gai_…`")
    kind, _, written = authorization.partition(" ")
    if kind.lower() != "bearer" or WRITTEN.fullmatch(written.strip()) is None:
        raise AccessDenied(401, "the Authorization header is not `Bearer gai_<8 characters>_<43 characters>`")
    return authenticate_key(written.strip(), scope=scope, now=now)


def authenticate_key(written: str, *, scope: str, now: datetime) -> ApiToken:
    """The token that is written so, where a protocol of others carries it in a place of its own.

    Raises:
        AccessDenied: 401 when malformed, unknown, expired or revoked; 403 without the scope.
    """
    match = WRITTEN.fullmatch(written)
    if match is None:
        raise AccessDenied(401, "the token is not `gai_<8 characters>_<43 characters>`: make one on the tokens page")
    token = ApiToken.objects.filter(public_id=match[1]).order_by().first()
    # Compared also for an unknown token, so that the time taken tells nothing about which public parts exist.
    known = hmac.compare_digest(token.secret_sha256 if token else "0" * 64, _sha256(match[2]))
    if token is None or not known:
        raise AccessDenied(401, f"unknown token gai_{match[1]}_…: make one on the tokens page")
    _check_standing(token, scope, now)
    _note_use(token, now)
    return token


def revoke_token(token: ApiToken, *, by: User | str, now: datetime) -> bool:
    """Revoke for good; False when it already was. Every request after the commit is refused."""
    with transaction.atomic():
        revoked = ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=now)
        if revoked:
            audit(actor=by, action="token.revoked", subject=token)
    return bool(revoked)


def _check_standing(token: ApiToken, scope: str, now: datetime) -> None:
    if token.revoked_at is not None:
        raise AccessDenied(401, f"token gai_{token.public_id}_… was revoked: make another on the tokens page")
    if token.expires_at is not None and token.expires_at <= now:
        raise AccessDenied(401, f"token gai_{token.public_id}_… expired on {token.expires_at:%Y-%m-%d}: make another")
    if scope not in token.scopes:
        held = ", ".join(token.scopes) or "none"
        raise AccessDenied(403, f"token gai_{token.public_id}_… lacks the scope {scope}; it has {held}")


def _note_use(token: ApiToken, now: datetime) -> None:
    stale = now - LAST_USED_EVERY
    if settings.GREENAI["read_only"]:
        return
    if token.last_used_at is not None and token.last_used_at > stale:
        return
    unnoted = Q(last_used_at=None) | Q(last_used_at__lte=stale)
    ApiToken.objects.filter(unnoted, pk=token.pk).update(last_used_at=now)


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
