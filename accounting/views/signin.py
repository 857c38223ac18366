"""Ways in and out: password, one-time link, invitation; and what people say of themselves."""

from django.contrib import messages
from django.contrib.auth import login, update_session_auth_hash
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import LoginView
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from accounting.access import InvitationRefused, accept_invitation, audit, redeem_one_time_login
from accounting.forms import AcceptForm, NewPasswordForm, ProfileForm

BACKEND = "django.contrib.auth.backends.ModelBackend"


class SignIn(LoginView):
    template_name = "accounting/login.html"
    redirect_authenticated_user = True


@never_cache
@require_http_methods(["GET", "POST"])
def login_once(request: HttpRequest, secret: str) -> HttpResponse:
    """A link preview only sees a button; pressing it spends the link."""
    if request.method == "GET":
        return _private(render(request, "accounting/login_once.html", {"title": "Sign in"}))
    user = redeem_one_time_login(secret, now=timezone.now())
    if user is None:
        return _private(render(request, "accounting/login_spent.html", {"title": "Link not valid"}, status=410))
    login(request, user, backend=BACKEND)
    return redirect("home")


@never_cache
@sensitive_post_parameters()
@require_http_methods(["GET", "POST"])
def invitation(request: HttpRequest, secret: str) -> HttpResponse:
    form = AcceptForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            user = accept_invitation(secret, now=timezone.now(), **form.cleaned_data)
        except InvitationRefused as refused:
            form.add_error(None, str(refused))
        except ValidationError as weak:
            form.add_error("password", weak)
        else:
            login(request, user, backend=BACKEND)
            messages.success(request, f"Welcome. Your user name is {user.username}.")
            return redirect("home")
    return _private(render(request, "accounting/invitation.html", {"title": "Join GreenAI", "form": form}))


@login_required
@sensitive_post_parameters()
@require_http_methods(["GET", "POST"])
def profile(request: HttpRequest) -> HttpResponse:
    """Two forms on one page; the button says which one was sent."""
    which = request.POST.get("form")
    about = ProfileForm(request.POST if which == "about" else None, instance=request.user)
    password = NewPasswordForm(request.POST if which == "password" else None, user=request.user)
    if which == "about" and about.is_valid():
        about.save()
        messages.success(request, "Saved.")
        return redirect("profile")
    if which == "password" and password.is_valid():
        request.user.set_password(password.cleaned_data["new"])
        request.user.save(update_fields=["password"])
        audit(actor=request.user, action="password.set", subject=request.user)
        update_session_auth_hash(request, request.user)
        messages.success(request, "Your password is set.")
        return redirect("profile")
    return render(request, "accounting/profile.html", {"title": "You", "about": about, "password": password})


def _private(reply: HttpResponse) -> HttpResponse:
    """The address holds a secret: keep it out of Referer headers, but let the form's POST say where it comes from."""
    reply["Referrer-Policy"] = "strict-origin"
    return reply
