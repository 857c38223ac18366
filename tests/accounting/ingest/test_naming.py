"""Labels that name a job: our own first, then the rules in their order, then the pod."""

from datetime import datetime

import pytest

from accounting.ingest.naming import Named, Rule, named, rules_for, slug_of
from accounting.ingest.unread import OTHERS, note_unread
from accounting.models import ApiToken, LabelRule, Site, Team, UnreadMetric

POD = {"namespace": "vision-prod", "pod": "trainer-7f9c-x2", "container": "main"}


class TestLabels:
    def test_of_our_own_win_in_either_spelling(self) -> None:
        rule = Rule((("namespace", ".*"),), "{namespace}")
        assert named({**POD, "greenai_job": "train-42", "greenai.team": "vision"}, [rule]) == Named(
            "train-42", "vision"
        )

    def test_are_read_by_the_first_rule_whose_every_expression_matches_whole_values(self) -> None:
        partly = Rule((("namespace", "vision"),), "never")
        both = Rule(
            (("namespace", "(?P<team>[a-z]+)-prod"), ("pod", r"(?P<work>[a-z]+)-.*")),
            "{work}",
            team="vision",
            project="{team} {container}",
        )
        later = Rule((), "later")
        assert named(POD, [partly, both, later]) == Named("trainer", "vision", "vision-main")

    def test_without_a_rule_make_each_pod_a_job_of_its_own_and_nobodys(self) -> None:
        assert named(POD, []) == Named("vision-prod/trainer-7f9c-x2")
        assert named({"k8s.pod.name": "p", "k8s.namespace.name": "n"}, []) == Named("n/p")

    def test_of_no_pod_name_no_job(self) -> None:
        assert named({"instance": "node-1:9400"}, []) is None
        assert named({"namespace": "", "pod": ""}, []) is None

    def test_that_a_rule_quotes_but_that_are_not_there_leave_the_rest(self) -> None:
        assert named({"pod": "p"}, [Rule((), "{namespace}/{pod}")]) == Named("p")

    def test_become_slugs_where_a_project_is_due(self) -> None:
        assert slug_of("Große Sprach-Modelle / v2") == "Gro-e-Sprach-Modelle-v2"


@pytest.mark.django_db
class TestRules:
    def test_of_the_site_and_of_every_site_come_in_their_order(self, site: Site, site_token: ApiToken) -> None:
        team = Team.objects.create(name="Vision", slug="vision")
        other = Site.objects.create(name="Oslo", slug="oslo")
        LabelRule.objects.create(position=2, job="{pod}", matches={"pod": ".+"})
        LabelRule.objects.create(position=1, job="mine", site=site, team=team)
        LabelRule.objects.create(position=0, job="foreign", site=other)
        assert [(rule.job, rule.team) for rule in rules_for(site_token)] == [("mine", "vision"), ("{pod}", None)]


@pytest.mark.django_db
class TestUnreadMetrics:
    def test_are_counted_by_name_and_reason(self, site_token: ApiToken, now: datetime) -> None:
        for _ in range(2):
            note_unread({("node_load1", ""): 3}, token=site_token, protocol="prometheus", now=now)
        assert UnreadMetric.objects.values_list("name", "count").get() == ("node_load1", 6)

    def test_beyond_a_bound_go_under_one_name(self, site_token, now, monkeypatch) -> None:
        monkeypatch.setattr(UnreadMetric, "MOST_NAMES", 2)
        counts = {(f"metric_{k}", ""): 1 for k in range(5)}
        note_unread(counts, token=site_token, protocol="prometheus", now=now)
        assert dict(UnreadMetric.objects.values_list("name", "count")) == {"metric_0": 1, "metric_1": 1, OTHERS: 3}
