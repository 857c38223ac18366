"""An experiment is a job in the ledger: its energy is there once, and during it the fleet's energy is the agent's."""

import json
import time

import pytest

from tests.stack import Stack

pytestmark = [pytest.mark.stack, pytest.mark.torch_training]

SUBMIT = """
from optimizer.experiments.plan import plan
from optimizer.experiments.submit import submit
from optimizer.models import Workload
workload = Workload.objects.get(builtin="digits-classifier")
question = {"goal": "size", "quality_floor_points": 100.0, "repeats": 5}
print(submit(workload, variants=plan(workload.kind, workload.builtin), **question).pk)
"""

# What the ledger says of this machine, and the trapezoid over its agent's raw readings, hour by hour not needed:
# whole readings only, up to the last one that the ledger has seen.
BALANCE = """
import json
from itertools import pairwise
from accounting.models import Device, DirtyHour, LedgerHour
from optimizer.models import Experiment
experiment = Experiment.objects.get(pk={pk!r})
ledger_kwh, agent_kwh, last_us = 0.0, 0.0, []
for device in Device.objects.filter(host__agents__isnull=False).exclude(host__name__in=["calm", "rough"]).distinct():
    readings = list(device.samples.order_by("measured_at_us").values_list("measured_at_us", "power_w"))
    last_us.append(readings[-1][0] if readings else 0)
    agent_kwh += sum((a[1] + b[1]) / 2 * (b[0] - a[0]) / 1e6 / 3.6e6 for a, b in pairwise(readings))
    ledger_kwh += sum(LedgerHour.objects.filter(device=device).values_list("it_energy_kwh", flat=True))
job_rows = LedgerHour.objects.filter(job=experiment.job).values_list("it_energy_kwh", "covered_s")
print(json.dumps({{
    "state": experiment.state, "explanation": experiment.explanation, "dirty": DirtyHour.objects.count(),
    "ledger_kwh": ledger_kwh, "agent_kwh": agent_kwh, "job_kwh": sum(r[0] for r in job_rows),
    "read_past_end_s": min(last_us) / 1e6 - experiment.finished_at.timestamp() if experiment.finished_at else -1.0,
    "held_s": sum(r[1] for r in job_rows), "own_j": experiment.energy_j,
    "ran_s": (experiment.finished_at - experiment.started_at).total_seconds() if experiment.finished_at else None,
}}))
"""


def shell(stack: Stack, code: str) -> str:
    return stack.manage("shell", "--no-imports", "-c", code).strip().splitlines()[-1]


class TestExperimentEnergy:
    def test_is_in_the_ledger_once_and_the_fleet_still_equals_the_agent(self, stack: Stack) -> None:
        experiment = shell(stack, SUBMIT)
        deadline = time.monotonic() + 240
        while True:
            balance = json.loads(shell(stack, BALANCE.format(pk=experiment)))
            seen_whole = balance["state"] == "finished" and balance["read_past_end_s"] > 10
            settled = seen_whole and balance["dirty"] == 0
            equal = balance["ledger_kwh"] == pytest.approx(balance["agent_kwh"], rel=1e-9)
            if settled and equal:
                break
            assert time.monotonic() < deadline and balance["state"] not in ("failed", "quarantined"), balance
            time.sleep(1)

        # Two devices (processor and memory) held from start to end; marks may reach one reading further.
        assert balance["held_s"] == pytest.approx(2 * balance["ran_s"], rel=0.1, abs=4)
        assert 0 < balance["job_kwh"] < balance["ledger_kwh"]
