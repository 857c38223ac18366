"""The page Label rules: who may change what, in which order rules are asked, and the box to try them."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounting.ingest.expressions import LONGEST_EXPRESSION
from accounting.ingest.naming import LONGEST_VALUE
from accounting.models import AuditEntry, LabelRule, Site, Team
from tests.accounting.reports import rows

pytestmark = pytest.mark.django_db
POD = "namespace=ml-vision\npod=train-7d9f8b6c5-x2x9z"


@pytest.fixture
def admin(client: Client) -> Client:
    client.force_login(rows.an_administrator())
    return client


@pytest.fixture
def team() -> Team:
    return Team.objects.create(name="Vision", slug="vision")


def said(**changes: Any) -> dict[str, Any]:
    usual = {"conditions": "namespace=ml-.*", "job": "{namespace}/{pod}", "team": "", "project": "", "site": ""}
    return usual | changes


def a_rule(position: int, job: str, **fields: Any) -> LabelRule:
    return LabelRule.objects.create(position=position, job=job, **({"matches": {"namespace": ".+"}} | fields))


def tried(client: Client, labels: str, **more: Any) -> dict[str, Any]:
    answer = client.post(reverse("label-rule-try"), {"labels": labels, **more}, headers={"HX-Request": "true"})
    assert answer.status_code == 200
    return answer.context.get("tried") or {"errors": answer.context["form"].errors["labels"]}


class TestAdministrators:
    def test_add_a_rule_after_all_others_and_leave_a_trace(self, admin: Client, team: Team) -> None:
        a_rule(7, "first")
        answer = admin.post(reverse("label-rule-new"), said(team=team.pk, project="p-{namespace}"))
        assert answer.status_code == 302
        rule = LabelRule.objects.last()
        assert (rule.position, rule.matches, rule.team, rule.project) == (
            8,
            {"namespace": "ml-.*"},
            team,
            "p-{namespace}",
        )
        entry = AuditEntry.objects.get()
        assert (entry.action, entry.detail["team"]) == ("label_rule.created", "vision")

    def test_start_from_the_example(self, admin: Client) -> None:
        text = admin.get(reverse("label-rule-new"), {"example": 1}).content.decode()
        assert "{namespace}/{app}" in text

    def test_edit_and_the_trail_has_both(self, admin: Client, team: Team) -> None:
        rule = a_rule(0, "old")
        assert "namespace=.+" in admin.get(reverse("label-rule-edit", args=[rule.pk])).content.decode()
        admin.post(reverse("label-rule-edit", args=[rule.pk]), said(job="new"))
        detail = AuditEntry.objects.get(action="label_rule.changed").detail
        assert (detail["before"]["job"], detail["job"]) == ("old", "new")

    def test_move_up_and_down_within_the_list(self, admin: Client) -> None:
        first, second, third = (a_rule(0, job) for job in "abc")
        admin.post(reverse("label-rule-move", args=[third.pk, "up"]))
        admin.post(reverse("label-rule-move", args=[first.pk, "down"]))
        admin.post(reverse("label-rule-move", args=[second.pk, "down"]))
        assert [rule.job for rule in LabelRule.objects.order_by("position")] == ["c", "a", "b"]
        assert admin.post(reverse("label-rule-move", args=[first.pk, "sideways"])).status_code == 404
        assert AuditEntry.objects.filter(action="label_rule.moved").count() == 2  # the last one is last already

    def test_remove_and_the_trail_keeps_what_it_said(self, admin: Client) -> None:
        rule = a_rule(0, "gone")
        admin.post(reverse("label-rule-remove", args=[rule.pk]))
        assert not LabelRule.objects.exists()
        assert AuditEntry.objects.get().detail["job"] == "gone"

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({"conditions": "namespace"}, "Line 1: write label=expression"),
            ({"conditions": "a=b\na=c"}, "Line 2: the label was named before"),
            ({"conditions": "namespace=(a+)+"}, "a repetition within a repetition"),
            ({"conditions": "namespace=("}, "not a regular expression"),
            ({"conditions": "\n".join(f"l{k}=x" for k in range(11))}, "10 at most"),
            ({"job": "{namespace"}, "A brace that is not closed"),
            ({"job": ""}, "This field is required"),
        ],
    )
    def test_are_told_what_is_wrong_and_nothing_is_stored(self, admin: Client, changes: dict, says: str) -> None:
        answer = admin.post(reverse("label-rule-new"), said(**changes))
        assert (answer.status_code, LabelRule.objects.exists()) == (200, False)
        assert says in answer.content.decode()


class TestOthers:
    def test_that_see_every_team_read_and_may_not_change(self, client: Client) -> None:
        rule = a_rule(0, "a")
        client.force_login(rows.a_user("ada", organisation_role="auditor"))
        page = client.get(reverse("label-rules")).content.decode()
        assert "Rule 1" in page
        assert reverse("label-rule-new") not in page
        for name, arguments in (("label-rule-edit", [rule.pk]), ("label-rule-move", [rule.pk, "up"])):
            assert client.post(reverse(name, args=arguments)).status_code == 403

    def test_of_one_team_are_refused(self, client: Client) -> None:
        client.force_login(rows.a_user(team=rows.a_team()))
        assert client.get(reverse("label-rules")).status_code == 403
        assert client.post(reverse("label-rule-try"), {"labels": POD}).status_code == 403


class TestTryIt:
    def test_shows_the_rule_that_matches_first_and_what_it_says(self, admin: Client, team: Team) -> None:
        a_rule(0, "{namespace}", matches={"namespace": "batch"})
        a_rule(1, "{app}", matches={"pod": "(?P<app>.+)-[0-9a-f]{8,10}-[a-z0-9]{5}"}, team=team, project="{namespace}")
        found = tried(admin, POD)
        assert (found["place"], found["who"].job, found["who"].team, found["who"].project) == (
            2,
            "train",
            "vision",
            "ml-vision",
        )

    @pytest.mark.parametrize(
        "labels",
        [
            POD,
            '{"namespace": "ml-vision", "pod": "train-7d9f8b6c5-x2x9z"}',
            '{namespace="ml-vision", pod="train-7d9f8b6c5-x2x9z"}',
            "k8s.namespace.name=ml-vision\nk8s.pod.name=train-7d9f8b6c5-x2x9z",
        ],
    )
    def test_takes_labels_as_they_are_pasted(self, admin: Client, labels: str) -> None:
        a_rule(0, "{namespace}/{pod}")
        assert tried(admin, labels)["who"].job == "ml-vision/train-7d9f8b6c5-x2x9z"

    def test_asks_only_rules_of_the_site(self, admin: Client) -> None:
        paris, lyon = (Site.objects.create(name=name, slug=name) for name in ("paris", "lyon"))
        a_rule(0, "paris", site=paris)
        assert tried(admin, POD, of_site=lyon.pk)["by"] == "pod"
        assert tried(admin, POD, of_site=paris.pk)["who"].job == "paris"

    def test_says_when_our_own_label_or_nothing_names_the_job(self, admin: Client) -> None:
        a_rule(0, "x")
        own = tried(admin, "greenai.job=mine\nnamespace=a")
        assert (own["by"], own["who"].job) == ("own", "mine")
        assert tried(admin, "instance=a:9400")["by"] == "nothing"

    @pytest.mark.parametrize("labels", ["namespace", '{"a": [1]}', '{"a": ', "{" * 5000, "x=" + "y" * 9000])
    def test_says_what_it_cannot_read(self, admin: Client, labels: str) -> None:
        assert tried(admin, labels)["errors"]

    def test_works_without_script(self, admin: Client) -> None:
        page = admin.post(reverse("label-rule-try"), {"labels": POD}).content.decode()
        assert "A pod is a job of its own" in page and "<h1" in page


class TestPage:
    def test_shows_the_common_example_where_there_is_no_rule(self, admin: Client) -> None:
        page = admin.get(reverse("label-rules")).content.decode()
        assert "No rule yet" in page and "?example=1" in page

    def test_says_from_when_a_change_holds(self, admin: Client) -> None:
        assert "from then on" in admin.get(reverse("label-rules")).content.decode()

    def test_exports_what_it_shows(self, admin: Client, team: Team) -> None:
        a_rule(0, "{pod}", team=team)
        answer = admin.get(reverse("label-rules"), {"csv": "rules"})
        (row,) = csv.DictReader(io.StringIO(answer.content.decode()))
        assert (row["place"], row["where"], row["job"], row["team"]) == ("1", "namespace=.+", "{pod}", "vision")


class TestDocs:
    def test_say_the_limits_and_an_example_that_works(self, admin: Client) -> None:
        text = (Path(__file__).resolve().parents[3] / "docs/kubernetes.md").read_text()
        assert f"at most {LONGEST_EXPRESSION} characters" in text
        assert f"more than {LONGEST_VALUE} characters" in text
        conditions = text.split("```\n", 2)[1]
        admin.post(reverse("label-rule-new"), said(conditions=conditions, job="{namespace}/{app}"))
        assert tried(admin, POD)["who"].job == "ml-vision/train"
