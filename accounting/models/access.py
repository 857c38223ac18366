"""Who may do what: people, their teams, and the tokens of programs. `accounting.access` decides with these rows."""

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q

from accounting.models.fleet import Site, Team


class User(AbstractUser):
    """A person. Sees the teams of their memberships; an organisation role reaches further."""

    class OrganisationRole(models.TextChoices):
        NONE = "", "Teams only"
        AUDITOR = "auditor", "Auditor: reads everything, changes nothing"
        ADMINISTRATOR = "administrator", "Administrator"

    organisation_role = models.CharField(
        max_length=20, choices=OrganisationRole.choices, default=OrganisationRole.NONE, blank=True
    )
    time_zone = models.CharField(max_length=64, default="UTC")


class Membership(models.Model):
    class Role(models.TextChoices):
        MEMBER = "member", "Member: sees the team, runs experiments, decides on advice"
        VIEWER = "viewer", "Viewer: sees the team"

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.MEMBER)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("user", "team"), name="one_membership_per_team"),)


class Invitation(models.Model):
    """An invitation that has not been accepted; the link carries the secret, the row its SHA-256."""

    email = models.EmailField()
    organisation_role = models.CharField(
        max_length=20, choices=User.OrganisationRole.choices, default=User.OrganisationRole.NONE, blank=True
    )
    team = models.ForeignKey(Team, null=True, blank=True, on_delete=models.CASCADE)
    role = models.CharField(max_length=10, choices=Membership.Role.choices, default=Membership.Role.MEMBER)
    secret_sha256 = models.CharField(max_length=64, unique=True)
    invited_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True)
    withdrawn_at = models.DateTimeField(null=True)


class OneTimeLogin(models.Model):
    """A link that signs one person in, once."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    secret_sha256 = models.CharField(max_length=64, unique=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)


class ApiToken(models.Model):
    """A program's key, `gai_<public>_<secret>`: found by its public part, checked by the SHA-256 of its secret."""

    class Scope(models.TextChoices):
        INGEST = "ingest", "Post telemetry"
        READ = "read", "Read figures"
        ADMIN = "admin", "Change settings"

    public_id = models.CharField(max_length=16, unique=True)
    secret_sha256 = models.CharField(max_length=64)
    name = models.CharField(max_length=120)
    scopes = models.JSONField(default=list, help_text="Some of ingest, read, admin")
    team = models.ForeignKey(Team, null=True, blank=True, on_delete=models.CASCADE, related_name="tokens")
    site = models.ForeignKey(Site, null=True, blank=True, on_delete=models.CASCADE, related_name="tokens")
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-created_at",)
        constraints = (
            models.CheckConstraint(
                condition=Q(team=None) | Q(site=None), name="token_belongs_to_a_team_a_site_or_the_organisation"
            ),
        )

    def __str__(self) -> str:
        return f"{self.name} (gai_{self.public_id}_…)"


class AuditEntry(models.Model):
    """What someone did. Written once, never changed."""

    at = models.DateTimeField(auto_now_add=True)
    actor = models.CharField(max_length=200)
    action = models.CharField(max_length=60)
    subject = models.CharField(max_length=200)
    detail = models.JSONField(default=dict)

    class Meta:
        ordering = ("-at", "-id")
