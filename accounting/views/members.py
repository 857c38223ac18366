"""People: who is in, who is invited, what they may do."""

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounting.access import (
    InvitationRefused,
    LastAdministrator,
    deactivate_user,
    invite,
    reactivate_user,
    set_membership,
    set_organisation_role,
    withdraw_invitation,
)
from accounting.forms import InviteForm, MembershipForm
from accounting.models import Invitation, User
from accounting.views.asking import administrators_only


@administrators_only
@require_GET
def member_list(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    waiting = Invitation.objects.filter(accepted_at=None, withdrawn_at=None, expires_at__gt=now)
    context = {
        "title": "Members",
        "people": User.objects.prefetch_related("memberships__team").order_by("-is_active", "username"),
        "invitations": waiting.select_related("team", "invited_by").order_by("-created_at"),
        "membership_form": MembershipForm(),
        "roles": User.OrganisationRole.choices,
    }
    return render(request, "accounting/members.html", context)


@administrators_only
@never_cache
@require_http_methods(["GET", "POST"])
def member_invite(request: HttpRequest) -> HttpResponse:
    """The answer to the POST is the only page that ever holds the link."""
    form = InviteForm(request.POST or None)
    crumbs = [("Members", reverse("members")), ("Invite", "")]
    if request.method == "POST" and form.is_valid():
        try:
            invitation, secret = invite(invited_by=request.user, now=timezone.now(), **form.cleaned_data)
        except InvitationRefused as refused:
            form.add_error("email", str(refused))
        else:
            link = request.build_absolute_uri(reverse("invitation", args=[secret]))
            context = {"title": "Invitation ready", "invitation": invitation, "link": link, "crumbs": crumbs}
            return render(request, "accounting/member_invited.html", context)
    context = {"title": "Invite someone", "form": form, "crumbs": crumbs, "submit": "Make the link"}
    return render(request, "accounting/form_page.html", {**context, "cancel_url": reverse("members")})


@administrators_only
@require_POST
def member_change(request: HttpRequest, user_id: int) -> HttpResponse:
    """One of: deactivate, reactivate, organisation_role, membership; the button's name says which."""
    person = get_object_or_404(User, pk=user_id)
    try:
        _change(request, person)
    except LastAdministrator as refused:
        messages.error(request, str(refused))
    return redirect("members")


def _change(request: HttpRequest, person: User) -> None:
    what, by = request.POST.get("what"), request.user
    if what == "deactivate":
        deactivate_user(person, by=by, now=timezone.now())
        messages.success(request, f"{person} is shut out.")
    elif what == "reactivate":
        reactivate_user(person, by=by)
        messages.success(request, f"{person} may sign in again.")
    elif what == "organisation_role" and request.POST.get("role") in User.OrganisationRole.values:
        set_organisation_role(person, request.POST["role"], by=by)
        messages.success(request, f"{person} is now: {User.OrganisationRole(request.POST['role']).label}.")
    elif what == "membership" and (form := MembershipForm(request.POST)).is_valid():
        set_membership(person, form.cleaned_data["team"], form.cleaned_data["role"] or None, by=by)
        messages.success(request, f"{person}: {form.cleaned_data['team']} updated.")
    else:
        raise PermissionDenied(f"unknown change {what!r}")


@administrators_only
@require_POST
def invitation_withdraw(request: HttpRequest, invitation_id: int) -> HttpResponse:
    invitation = get_object_or_404(Invitation, pk=invitation_id)
    if withdraw_invitation(invitation, by=request.user, now=timezone.now()):
        messages.success(request, f"The invitation of {invitation.email} is withdrawn.")
    return redirect("members")
