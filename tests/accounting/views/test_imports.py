"""The imports page: what it shows of a file, who may bring one for whom, and how one is taken back."""

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from accounting.ledger.rebuild import rebuild_dirty
from accounting.models import AuditEntry, EnergySpan, FileImport, HeldFile, Membership, Site, Team, User
from tests.accounting.ingest.formats.test_slurm import line, text
from tests.accounting.ledger.rows import NOON, a_site
from tests.accounting.reports import rows

pytestmark = pytest.mark.django_db


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def team() -> Team:
    return rows.a_team()


@pytest.fixture
def site() -> Site:
    return a_site(pue=1.0)


@pytest.fixture
def member(team: Team) -> Client:
    user = rows.a_user("mia")
    Membership.objects.create(user=user, team=team, role=Membership.Role.MEMBER)
    return signed_in(user)


@pytest.fixture
def admin() -> Client:
    return signed_in(rows.an_administrator())


def look(client: Client, body: bytes, whose: Team | Site, **said: str) -> Any:
    kind = "team" if isinstance(whose, Team) else "site"
    fields = {"file": SimpleUploadedFile("sacct.txt", body), "whose": f"{kind}:{whose.pk}", **said}
    return client.post(reverse("import-new"), fields)


def bring(client: Client, body: bytes, whose: Team | Site, **said: str) -> Any:
    held = look(client, body, whose, **said).context["held"]
    return client.post(reverse("import-confirm", args=[held.pk]), follow=True)


class TestPreview:
    def test_shows_what_is_in_the_file_and_stores_nothing(self, member: Client, team: Team) -> None:
        page = look(member, text(line("1"), line("2", "0")), team, time_zone="Europe/Paris").content.decode()
        for words in ("Slurm sacct", "Import 2 runs", "train (ada)", "2026-03-02T07:00", f"{team.slug} / physics"):
            assert words in page
        assert not FileImport.objects.exists() and not EnergySpan.objects.exists()

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            (b"", "The submitted file is empty"),
            (b"\x89PNG\r\n\x1a\n\x00", "no text"),
            (b"a,b\n1,2\n", "of no file that is known"),
            (text("1|2"), "line 2: 2 fields"),
            (text(), "holds no run that ended"),
        ],
    )
    def test_says_what_is_wrong_with_a_file(self, body: bytes, words: str, member: Client, team: Team) -> None:
        answer = look(member, body, team)
        assert answer.status_code == 200 and words in answer.content.decode()
        assert not HeldFile.objects.exists()

    def test_says_what_is_wrong_with_what_is_stated(self, admin: Client, site: Site) -> None:
        assert "no time zone" in look(admin, text(line()), site, time_zone="Mars").content.decode()
        assert "no team ghosts" in look(admin, text(line()), site, accounts="physics = ghosts").content.decode()
        assert "Select a valid choice" in look(admin, text(line()), site, kind="x").content.decode()


class TestConfirm:
    def test_takes_in_what_was_shown_once(self, member: Client, team: Team) -> None:
        held = look(member, text(line("1")), team).context["held"]
        page = member.post(reverse("import-confirm", args=[held.pk]), follow=True).content.decode()
        assert "sacct.txt is in" in page
        again = member.post(reverse("import-confirm", args=[held.pk]), follow=True).content.decode()
        assert "preview is gone" in again
        brought = FileImport.objects.get()
        assert (brought.team, brought.brought["accepted"], HeldFile.objects.count()) == (team, 1, 0)
        assert AuditEntry.objects.get(action="runs.imported").subject == "sacct.txt"

    def test_is_for_the_person_who_saw_the_preview(self, member: Client, admin: Client, team: Team) -> None:
        held = look(member, text(line("1")), team).context["held"]
        assert "preview is gone" in admin.post(reverse("import-confirm", args=[held.pk]), follow=True).content.decode()
        assert not EnergySpan.objects.exists()

    def test_asks_again_whether_the_person_may(self, member: Client, team: Team) -> None:
        held = look(member, text(line("1")), team).context["held"]
        Membership.objects.all().delete()
        assert member.post(reverse("import-confirm", args=[held.pk])).status_code == 403


class TestWithdraw:
    def test_takes_back_what_the_file_brought(self, member: Client, team: Team) -> None:
        bring(member, text(line("1")), team)
        rebuild_dirty(now=NOON)
        brought = FileImport.objects.get()
        page = member.post(reverse("import-withdraw", args=[brought.pk]), follow=True).content.decode()
        assert "is withdrawn" in page and not EnergySpan.objects.exists()
        assert member.post(reverse("import-withdraw", args=[brought.pk])).status_code == 404
        assert AuditEntry.objects.filter(action="runs.withdrawn").count() == 1


class TestWhoMay:
    def test_bring_a_file_for_a_team_its_members_and_for_a_site_administrators(
        self, member: Client, admin: Client, team: Team, site: Site
    ) -> None:
        assert "Select a valid choice" in look(member, text(line()), site).content.decode()
        assert "held" in look(admin, text(line()), site).context
        viewer = rows.a_user("vic")
        Membership.objects.create(user=viewer, team=team, role=Membership.Role.VIEWER)
        auditor = rows.a_user("aud", organisation_role=User.OrganisationRole.AUDITOR)
        for user in (viewer, auditor):
            assert signed_in(user).get(reverse("import-new")).status_code == 403
            assert signed_in(user).get(reverse("imports")).status_code == 200
        assert Client().get(reverse("imports")).status_code == 302

    def test_see_and_withdraw_a_file_of_another_team_nobody_else(
        self, member: Client, admin: Client, site: Site
    ) -> None:
        bring(admin, text(line("1")), site)
        brought = FileImport.objects.get()
        assert "sacct.txt" not in member.get(reverse("imports")).content.decode()
        assert member.post(reverse("import-withdraw", args=[brought.pk])).status_code == 404
        table = admin.get(reverse("imports"), {"csv": "imports"}).content.decode()
        assert "sacct.txt,Slurm sacct" in table
