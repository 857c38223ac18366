"""Who may do what. Every such decision is made here; nothing else looks at roles, scopes or memberships."""

from accounting.access.audit import audit
from accounting.access.people import (
    InvitationRefused,
    LastAdministrator,
    accept_invitation,
    deactivate_user,
    invite,
    one_time_login,
    reactivate_user,
    redeem_one_time_login,
    set_membership,
    set_organisation_role,
    withdraw_invitation,
)
from accounting.access.tokens import AccessDenied, authenticate, authenticate_key, issue_token, revoke_token
from accounting.access.visibility import EVERYTHING, Visibility, can_administer, can_change, visible_to

__all__ = [
    "EVERYTHING", "AccessDenied", "InvitationRefused", "LastAdministrator", "Visibility", "accept_invitation", "audit",
    "authenticate", "authenticate_key", "can_administer", "can_change", "deactivate_user", "invite", "issue_token",
    "one_time_login", "reactivate_user", "redeem_one_time_login", "revoke_token", "set_membership",
    "set_organisation_role", "visible_to", "withdraw_invitation",
]  # fmt: skip
