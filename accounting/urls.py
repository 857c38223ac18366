"""Addresses of accounting's pages. Names are plain: templates of both apps use them."""

from django.contrib.auth.views import LogoutView
from django.urls import path

from accounting.views import contracts, factors, figures, fleet, jobs, members, signin, teams, tokens

urlpatterns = [
    path("login/", signin.SignIn.as_view(), name="login"),
    path("login/once/<str:secret>", signin.login_once, name="login-once"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("invitation/<str:secret>", signin.invitation, name="invitation"),
    path("profile/", signin.profile, name="profile"),
    path("figures/trend.json", figures.trend_json, name="trend"),
    path("figures/split.csv", figures.split_csv, name="split-csv"),
    path("teams/", teams.team_list, name="teams"),
    path("teams/new", teams.team_new, name="team-new"),
    path("teams/<int:team_id>/", teams.team_page, name="team"),
    path("teams/<int:team_id>/projects", teams.project_new, name="project-new"),
    path("jobs/", jobs.job_list, name="jobs"),
    path("jobs/heaviest", jobs.heaviest, name="jobs-heaviest"),
    path("jobs/<int:job_id>/", jobs.job_page, name="job"),
    path("jobs/<int:job_id>/energy.json", jobs.job_energy, name="job-energy"),
    path("jobs/<int:job_id>/power.json", jobs.job_power, name="job-power"),
    path("fleet/", fleet.fleet_page, name="fleet"),
    path("fleet/sites/new", fleet.site_new, name="site-new"),
    path("fleet/sites/<int:site_id>/", fleet.site_page, name="site"),
    path("fleet/hosts/<int:host_id>/", fleet.host_page, name="host"),
    path("fleet/devices/<int:device_id>/", fleet.device_page, name="device"),
    path("fleet/devices/<int:device_id>/edit", fleet.device_edit, name="device-edit"),
    path("fleet/devices/<int:device_id>/power.json", fleet.device_power, name="device-power"),
    path("fleet/devices/<int:device_id>/trend.json", fleet.device_trend, name="device-trend"),
    path("factors/", factors.factor_list, name="factors"),
    path("contracts/", contracts.contract_list, name="contracts"),
    path("contracts/new", contracts.contract_new, name="contract-new"),
    path("contracts/import", contracts.contract_import, name="contract-import"),
    path("contracts/<int:contract_id>/", contracts.contract_page, name="contract"),
    path("contracts/<int:contract_id>/delete", contracts.contract_delete, name="contract-delete"),
    path("contracts/<int:contract_id>/profile", contracts.contract_profile, name="contract-profile"),
    path("tokens/", tokens.token_list, name="tokens"),
    path("tokens/new", tokens.token_new, name="token-new"),
    path("tokens/<int:token_id>/arrivals", tokens.token_arrivals, name="token-arrivals"),
    path("tokens/<int:token_id>/revoke", tokens.token_revoke, name="token-revoke"),
    path("members/", members.member_list, name="members"),
    path("members/invite", members.member_invite, name="member-invite"),
    path("members/<int:user_id>/change", members.member_change, name="member-change"),
    path("members/invitations/<int:invitation_id>/withdraw", members.invitation_withdraw, name="invitation-withdraw"),
]
