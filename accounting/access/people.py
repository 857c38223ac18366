"""How people come in and go: one-time links, invitations, memberships, deactivation.

A link carries a random secret and the row its SHA-256. Each is spent by a guarded update whose row count is checked, so
two clicks at once let in one.
"""

import hashlib
import secrets
from datetime import datetime, timedelta

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.db.models import Q

from accounting.access.audit import audit
from accounting.access.tokens import AccessDenied
from accounting.access.visibility import can_administer
from accounting.models import ApiToken, Invitation, Membership, OneTimeLogin, Team, User

INVITATION_VALID_FOR = timedelta(days=7)
USERNAME_LENGTH = 150


class InvitationRefused(ValueError):
    """The invitation cannot be made or taken; the message says why and what to do."""


class LastAdministrator(ValueError):
    """Nobody would be left who can let people in."""


def one_time_login(user: User, *, valid_for: timedelta, now: datetime) -> str:
    """The secret of a link that signs this person in once."""
    secret = secrets.token_urlsafe(32)
    OneTimeLogin.objects.create(user=user, secret_sha256=_sha256(secret), expires_at=now + valid_for)
    return secret


@transaction.atomic
def redeem_one_time_login(secret: str, *, now: datetime) -> User | None:
    """The person this link signs in; None when it is unknown, expired, spent, or the person was deactivated."""
    mine = OneTimeLogin.objects.filter(secret_sha256=_sha256(secret))
    if mine.filter(used_at=None, expires_at__gt=now).update(used_at=now) != 1:
        return None
    user = mine.select_related("user").get().user
    if not user.is_active:
        return None
    audit(actor=user, action="login.redeemed", subject=user)
    return user


@transaction.atomic
def invite(
    *,
    email: str,
    invited_by: User,
    now: datetime,
    team: Team | None = None,
    role: str = Membership.Role.MEMBER,
    organisation_role: str = User.OrganisationRole.NONE,
    valid_for: timedelta = INVITATION_VALID_FOR,
) -> tuple[Invitation, str]:
    """An invitation and the secret of its link, shown this once.

    Raises:
        AccessDenied: the inviting person is no administrator.
        InvitationRefused: unknown role, no e-mail address, or one that already has an account.
    """
    _require_administrator(invited_by)
    email = email.strip()
    if role not in Membership.Role.values or organisation_role not in User.OrganisationRole.values:
        raise InvitationRefused(f"no such role: {role!r} or {organisation_role!r}")
    _refuse_taken(email)
    secret = secrets.token_urlsafe(32)
    invitation = Invitation.objects.create(
        email=email,
        team=team,
        role=role,
        organisation_role=organisation_role,
        secret_sha256=_sha256(secret),
        invited_by=invited_by,
        expires_at=now + valid_for,
    )
    audit(actor=invited_by, action="person.invited", subject=email, team=str(team or ""), role=role)
    return invitation, secret


@transaction.atomic
def accept_invitation(secret: str, *, password: str, now: datetime, name: str = "") -> User:
    """Make the invited person's account, with their e-mail address as user name.

    Raises:
        InvitationRefused: unknown, expired, withdrawn or already accepted, or the address has an account by now.
        django.core.exceptions.ValidationError: the password is too weak; the invitation stays open.
    """
    mine = Invitation.objects.filter(secret_sha256=_sha256(secret))
    if mine.filter(accepted_at=None, withdrawn_at=None, expires_at__gt=now).update(accepted_at=now) != 1:
        raise InvitationRefused("this invitation was used, withdrawn or has expired: ask for another")
    invitation = mine.select_related("team").get()
    _refuse_taken(invitation.email)
    user = User(
        username=invitation.email,
        email=invitation.email,
        first_name=name[:150],
        organisation_role=invitation.organisation_role,
    )
    validate_password(password, user)
    user.set_password(password)
    user.save()
    if invitation.team is not None:
        Membership.objects.create(user=user, team=invitation.team, role=invitation.role)
    audit(actor=user, action="invitation.accepted", subject=user)
    return user


@transaction.atomic
def withdraw_invitation(invitation: Invitation, *, by: User, now: datetime) -> bool:
    """Close an open invitation; False when it was accepted or withdrawn already."""
    _require_administrator(by)
    open_still = Invitation.objects.filter(pk=invitation.pk, accepted_at=None, withdrawn_at=None)
    if open_still.update(withdrawn_at=now) != 1:
        return False
    audit(actor=by, action="invitation.withdrawn", subject=invitation.email)
    return True


@transaction.atomic
def set_membership(user: User, team: Team, role: str | None, *, by: User) -> None:
    """Give this person a role in the team; None takes them out of it."""
    _require_administrator(by)
    if role is None:
        Membership.objects.filter(user=user, team=team).delete()
    elif role in Membership.Role.values:
        Membership.objects.update_or_create(user=user, team=team, defaults={"role": role})
    else:
        raise ValueError(f"no such role: {role!r}; one of {', '.join(Membership.Role.values)}")
    audit(actor=by, action="membership.set", subject=user, team=str(team), role=role or "")


@transaction.atomic
def set_organisation_role(user: User, role: str, *, by: User) -> None:
    """Give this person a role in the whole organisation.

    Raises:
        ValueError: no such role.
        LastAdministrator: nobody active would be left who can let people in.
    """
    _require_administrator(by)
    if role not in User.OrganisationRole.values:
        raise ValueError(f"no such role: {role!r}; one of {', '.join(User.OrganisationRole.values)}")
    if role != User.OrganisationRole.ADMINISTRATOR:
        _keep_an_administrator(besides=user)
    rights = {"organisation_role": role}
    if role != User.OrganisationRole.ADMINISTRATOR:
        rights |= {"is_superuser": False, "is_staff": False}  # a superuser would administer whatever the role says
    User.objects.filter(pk=user.pk).update(**rights)
    audit(actor=by, action="person.role", subject=user, role=role)


@transaction.atomic
def deactivate_user(user: User, *, by: User, now: datetime) -> None:
    """Shut a person out: their sessions and open links end with the commit. Memberships stay, for when they return.

    Their tokens that read or change are revoked. Those that only post stay: machines use them, and stopping them would
    lose data; whoever left knows them still, so replace them when that matters.

    Raises:
        LastAdministrator: they are the only active administrator.
    """
    _require_administrator(by)
    _keep_an_administrator(besides=user)
    User.objects.filter(pk=user.pk).update(is_active=False)
    user.is_active = False
    OneTimeLogin.objects.filter(user=user, used_at=None).update(used_at=now)
    theirs = ApiToken.objects.filter(created_by=user, revoked_at=None)
    revoked = [token for token in theirs if set(token.scopes) - {ApiToken.Scope.INGEST}]
    ApiToken.objects.filter(pk__in=[token.pk for token in revoked]).update(revoked_at=now)
    audit(actor=by, action="person.deactivated", subject=user, revoked_tokens=[str(token) for token in revoked])


@transaction.atomic
def reactivate_user(user: User, *, by: User) -> None:
    """Let a person in again, with the memberships they had."""
    _require_administrator(by)
    User.objects.filter(pk=user.pk).update(is_active=True)
    user.is_active = True
    audit(actor=by, action="person.reactivated", subject=user)


def _keep_an_administrator(*, besides: User) -> None:
    """Locks the active people, so that two administrators cannot remove each other at once."""
    active = list(User.objects.select_for_update().filter(is_active=True).order_by("pk"))
    if can_administer(besides) and not any(can_administer(other) for other in active if other.pk != besides.pk):
        raise LastAdministrator(f"{besides} is the only administrator: make another one first")


def _require_administrator(user: User) -> None:
    if not can_administer(user):
        raise AccessDenied(403, f"{user} is not an administrator")


def _refuse_taken(email: str) -> None:
    try:
        validate_email(email)
    except ValidationError as error:
        raise InvitationRefused(f"{email!r} is not an e-mail address") from error
    if len(email) > USERNAME_LENGTH:
        raise InvitationRefused(f"{email} is longer than {USERNAME_LENGTH} characters: it serves as user name")
    if User.objects.filter(Q(email__iexact=email) | Q(username__iexact=email)).exists():
        raise InvitationRefused(f"{email} has an account already: add it to the team instead")


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
