"""`track` on a machine that the product's own agent meters: marks alone, and the job's energy is there once."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from accounting.agent.track import track
from tests.stack import Stack

pytestmark = pytest.mark.stack

KNOWN = """
import json
from accounting.access import issue_token
from accounting.models import Agent, DeviceSample, JobMark, Team
team = Team.objects.order_by("pk").first()
print(json.dumps({"team": team.slug, "read": issue_token(name="reader", scopes=["read"], team=team)[1]}))
"""
STORED = """
import json
from django.db.models import Sum
from accounting.models import Agent, JobMark, LedgerHour
marks = JobMark.objects.filter(job__key="beside")
rows = LedgerHour.objects.filter(device__in=marks.values("device"))
print(json.dumps({
    "agents": sorted(Agent.objects.values_list("key", flat=True)),
    "devices": marks.values("device").distinct().count(),
    "job_j": (rows.filter(job__key="beside").aggregate(s=Sum("it_energy_kwh"))["s"] or 0) * 3.6e6,
    "all_j": (rows.aggregate(s=Sum("it_energy_kwh"))["s"] or 0) * 3.6e6,
}))
"""


def asked(stack: Stack, code: str) -> Any:
    return json.loads(stack.manage("shell", "--no-imports", "-c", code).splitlines()[-1])


class TestBesideAnAgent:
    def test_the_jobs_energy_is_part_of_what_the_agent_measured(
        self, stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID", "GREENAI_JOB_ID"):
            monkeypatch.delenv(name, raising=False)
        known = asked(stack, KNOWN)
        self.wait_for_the_agent(stack)
        options = {"server": stack.url, "token": stack.token, "team": known["team"], "folder": tmp_path}
        with track("beside", read_token=known["read"], **options) as job:
            time.sleep(12)
        assert job.problem == ""
        told = job.footprint(wait_s=90)
        assert told.complete, told.pending
        stored = asked(stack, STORED)
        assert "greenai-track" not in stored["agents"] and stored["devices"] >= 2
        assert told.it_energy_kwh is not None and told.coverage == pytest.approx(1.0, abs=0.01)
        assert 0 < stored["job_j"] < stored["all_j"]
        assert told.it_energy_kwh.mid * 3.6e6 == pytest.approx(stored["job_j"], rel=1e-6)
        assert "emissions:" in job.co2_eq_emissions(training_type="fine-tuning")

    @staticmethod
    def wait_for_the_agent(stack: Stack) -> None:
        deadline = time.monotonic() + 60
        while not asked(stack, "from accounting.models import DeviceSample; print(DeviceSample.objects.count())"):
            assert time.monotonic() < deadline, "the product's agent posts nothing"
            time.sleep(1)
