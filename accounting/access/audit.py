"""The trail of what people and programs did."""

from typing import Any

from accounting.models import AuditEntry


def audit(*, actor: object, action: str, subject: object, **detail: Any) -> AuditEntry:
    """Write one entry, in the caller's transaction: what is rolled back was not done.

    Args:
        actor: a user, a token, or the name of a command; kept as text, so it outlives the row.
        action: "verb.noun", stable, for filters: "token.issued".
        detail: JSON values; never a secret.
    """
    return AuditEntry.objects.create(
        actor=str(actor)[:200], action=action[:60], subject=str(subject)[:200], detail=detail
    )
