"""Tokens: shown once, watched until the first reading, revoked."""

import shlex

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounting.access import AccessDenied, authenticate
from accounting.models import ApiToken, IntakeDevice, Site
from accounting.views.agent_command import agent_command
from tests.accounting.reports import rows

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(client: Client) -> Client:
    client.force_login(rows.an_administrator())
    return client


def create(client: Client, owner: str, *scopes: str) -> tuple[ApiToken, str, str]:
    said = {"name": "agents", "owner": owner, "scopes": scopes or ["ingest"], "valid_for_days": "30"}
    page = client.post(reverse("token-new"), said)
    assert page.status_code == 200, page
    return page.context["token"], page.context["secret"], page.content.decode()


class TestNewToken:
    def test_shows_its_secret_once_and_with_it_the_agents_command(self, admin: Client) -> None:
        site = Site.objects.create(name="Lyon", slug="lyon")
        token, secret, text = create(admin, f"site:{site.pk}")
        assert secret in text and "greenai-agent.pyz" in text
        assert f"credentials: {secret}" in text and "/api/codecarbon" in text  # for programs that measure already
        assert authenticate(f"Bearer {secret}", scope="ingest", now=timezone.now()) == token
        assert (token.site, token.team, token.expires_at is not None) == (site, None, True)
        assert secret not in admin.get(reverse("tokens")).content.decode()

    def test_that_only_reads_has_no_agents_command(self, admin: Client) -> None:
        team = rows.a_team()
        _, _, text = create(admin, f"team:{team.pk}", "read")
        assert "greenai-agent.pyz" not in text

    def test_of_a_member_speaks_for_their_own_teams_and_never_administers(self) -> None:
        ours, theirs = rows.a_team("Ours"), rows.a_team("Theirs")
        site = Site.objects.create(name="Lyon", slug="lyon")
        client = Client()
        client.force_login(rows.a_user(team=ours))
        create(client, f"team:{ours.pk}")
        for owner, scope in (
            (f"team:{theirs.pk}", "ingest"),
            (f"site:{site.pk}", "ingest"),
            (f"team:{ours.pk}", "admin"),
        ):
            said = {"name": "x", "owner": owner, "scopes": [scope], "valid_for_days": "30"}
            assert b"Select a valid choice" in client.post(reverse("token-new"), said).content
        assert ApiToken.objects.count() == 1


class TestAgentCommand:
    def test_keeps_the_token_out_of_every_argument_but_the_shells_own_printf(self) -> None:
        lines = agent_command("gai_a_b", server="https://green.example").split(" && \\\n")
        assert [line for line in lines if "gai_a_b" in line] == [r"(umask 077 && printf '%s\n' gai_a_b > token)"]
        assert "sha256sum -c" in lines[2]
        assert shlex.split(lines[-1]) == [
            "python3", "greenai-agent.pyz", "run", "--server", "https://green.example", "--token-file", "token",
        ]  # fmt: skip

    def test_fetches_what_the_server_serves(self, client: Client) -> None:
        command = agent_command("s", server="")
        addresses = [word for word in command.split() if word.startswith("/agent/")]
        assert len(addresses) == 2
        assert all(client.get(address).status_code == 200 for address in addresses)


class TestArrivals:
    def test_wait_then_tell_of_the_first_reading_and_stop_asking(self, admin: Client) -> None:
        site = Site.objects.create(name="Lyon", slug="lyon")
        token, secret, _ = create(admin, f"site:{site.pk}")
        address = reverse("token-arrivals", args=[token.pk])
        waiting = admin.get(address)
        assert waiting.status_code == 200 and b"Waiting for the first reading" in waiting.content
        assert b'hx-trigger="every 2s"' in waiting.content

        authenticate(f"Bearer {secret}", scope="ingest", now=timezone.now())
        assert b"The token was used" in admin.get(address).content

        device, now = rows.a_device(site=site), timezone.now()
        noted = {"device": device, "first_seen_at": now, "last_seen_at": now}
        IntakeDevice.objects.create(token=token, protocol="codecarbon", **noted)
        arrived = admin.get(address)
        assert arrived.status_code == 286 and b"First data received" in arrived.content
        assert b"hx-trigger" not in arrived.content and b"gpu-0" in arrived.content

    def test_are_not_mixed_up_with_those_of_another_token(self, admin: Client) -> None:
        site = Site.objects.create(name="Lyon", slug="lyon")
        token, secret, _ = create(admin, f"site:{site.pk}")
        authenticate(f"Bearer {secret}", scope="ingest", now=timezone.now())
        other, now = create(admin, f"site:{site.pk}")[0], timezone.now()
        noted = {"device": rows.a_device(site=site), "first_seen_at": now, "last_seen_at": now}
        IntakeDevice.objects.create(token=other, protocol="telemetry", **noted)
        assert b"First data received" not in admin.get(reverse("token-arrivals", args=[token.pk])).content


class TestRevoking:
    def test_refuses_the_next_request(self, admin: Client) -> None:
        team = rows.a_team()
        token, secret, _ = create(admin, f"team:{team.pk}")
        assert admin.get(reverse("token-revoke", args=[token.pk])).status_code == 405
        admin.post(reverse("token-revoke", args=[token.pk]))
        with pytest.raises(AccessDenied):
            authenticate(f"Bearer {secret}", scope="ingest", now=timezone.now())
        assert b"revoked" in admin.get(reverse("tokens")).content


class TestOnlyThisMachine:
    @pytest.mark.parametrize("server", ["http://127.0.0.1:8000", "http://localhost:8000", "http://[::1]:8000"])
    def test_is_said_on_the_page_where_no_other_machine_can_reach_the_server(
        self, admin: Client, settings, server: str
    ) -> None:
        settings.BASE_URL = server
        _, _, text = create(admin, f"team:{rows.a_team().pk}")
        assert "only this machine can reach" in text

    @pytest.mark.parametrize("server", ["https://greenai.example.org", "http://10.0.0.7:8000"])
    def test_is_not_said_of_an_address_on_the_network(self, admin: Client, settings, server: str) -> None:
        settings.BASE_URL = server
        _, _, text = create(admin, f"team:{rows.a_team().pk}")
        assert "only this machine can reach" not in text and f"--server {server}" in text
