"""Django's admin, for support: rows may be looked at there. They change on the product's own pages."""

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.http import HttpRequest

from accounting.models import (
    Agent,
    AuditEntry,
    Device,
    ExchangeRate,
    GridFeed,
    GridHour,
    Host,
    Job,
    LedgerHour,
    Membership,
    OwnFactor,
    PriceHour,
    Project,
    Restatement,
    SampleConflict,
    Site,
    SiteTerms,
    Tariff,
    Team,
    User,
)


class ReadOnly(admin.ModelAdmin):
    """A change here would neither restate the ledger nor leave a trail."""

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
for model in (
    Agent,
    AuditEntry,
    Device,
    ExchangeRate,
    GridFeed,
    GridHour,
    Host,
    Job,
    LedgerHour,
    Membership,
    OwnFactor,
    PriceHour,
    Project,
    Restatement,
    SampleConflict,
    Site,
    SiteTerms,
    Tariff,
    Team,
):
    admin.site.register(model, ReadOnly)
