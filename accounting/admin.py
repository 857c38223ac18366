"""Django's admin, for support: what people keep may be looked at there; measured and computed rows may not be changed."""

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.http import HttpRequest

from accounting.models import (
    Agent,
    AuditEntry,
    Device,
    Host,
    Job,
    LedgerHour,
    Membership,
    Project,
    SampleConflict,
    Site,
    SiteTerms,
    Team,
    User,
)


class ReadOnly(admin.ModelAdmin):
    """Sites, machines and figures change on the product's own pages, which restate the ledger and leave a trail."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


class PersonAdmin(UserAdmin):
    """Membership and roles change under Members."""

    list_display = ("username", "email", "organisation_role", "is_active", "last_login")
    list_filter = ("organisation_role", "is_active")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


admin.site.register(User, PersonAdmin)
for model in (Agent, AuditEntry, Device, Host, Job, LedgerHour, Membership, Project, SampleConflict, Site, SiteTerms, Team):
    admin.site.register(model, ReadOnly)
