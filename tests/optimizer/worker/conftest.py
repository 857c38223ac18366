"""A child that speaks the measuring protocol without torch, and a machine to run it on."""

import sys

import pytest

from accounting.agent.post import Kind, Outcome
from accounting.agent.sensors.machine import Machine
from accounting.agent.sensors.rack import Rack
from accounting.agent.wire import TelemetryReply
from optimizer.measure.energy import CpuModelMeter
from optimizer.worker import run, stand_in, watch
from tests.optimizer.rows import a_machine

SPEAKS = """
import json, os, sys, time
plan = json.loads(sys.stdin.read())
def say(event, **fields):
    print(json.dumps({"event": event, "at_ns": time.monotonic_ns(), **fields}), flush=True)
def window(kind, position=None, round=None, units=0, seconds=0.03):
    start = time.monotonic_ns()
    busy_until = start + int(seconds * 1e9)
    while kind != "idle" and time.monotonic_ns() < busy_until:
        pass
    if kind == "idle":
        time.sleep(seconds)
    say("window", kind=kind, position=position, round=round, start_ns=start, end_ns=time.monotonic_ns(),
        units=units, cpu_s=seconds)
def progress(percent, step):
    say("progress", percent=percent, step=step)
"""
GOOD = """
say("started", pid=os.getpid(), threads=1, torch="none", workload=plan["workload"], kind="inference", unit="image",
    quality_metric="accuracy")
sizes = {0: 1000, 1: 500, 2: 300}
for variant in plan["variants"]:
    p = variant["position"]
    progress(10 + p, "building " + variant["technique"])
    window("build", p)
    name = "variant-%d.safetensors" % p
    with open(os.path.join(plan["artifacts"], name), "wb") as file:
        file.write(bytes(sizes[p]))
    say("built", position=p, artifact=name, size_bytes=sizes[p], one_off_s=0.03, facts={})
    # variant 2 gets 30 of 200 examples wrong that the baseline has right
    scores = [1.0] * 170 + [0.0 if p == 2 else 1.0] * 30
    say("quality", position=p, mean=sum(scores) / len(scores), scores=scores)
window("idle")
for round in range(plan["repeats"]):
    progress(30 + 60 * round / plan["repeats"], "round %d" % (round + 1))
    for variant in plan["variants"]:
        p = variant["position"]
        window("work", p, round, units=10 * (1 + p))
        say("latency", position=p, round=round, seconds=[0.001 / (1 + p)] * 5)
window("idle")
for variant in plan["variants"]:
    say("memory", position=variant["position"], peak_bytes=[100000000 // (1 + variant["position"])] * 3)
progress(100, "done")
say("done")
"""
WAITS = 'progress(5, "waiting"); time.sleep(60)\n'


@pytest.fixture
def child_says(monkeypatch, tmp_path):
    """Replaces the measured child by a script: `child_says(GOOD)`."""
    monkeypatch.setattr(watch, "find_meter", lambda: CpuModelMeter(40.0, Machine()))

    def replace(script):
        path = tmp_path / "child.py"
        path.write_text(SPEAKS + script)
        monkeypatch.setattr(watch, "CHILD", [sys.executable, str(path)])

    return replace


@pytest.fixture
def machine(db):
    return a_machine()


@pytest.fixture
def posted(monkeypatch):
    """Batches instead of a server that takes them."""
    batches = []

    def post(batch):
        batches.append(batch)
        return Outcome(Kind.DELIVERED, reply=TelemetryReply(0, 0, 0, 0))

    monkeypatch.setattr(run, "post_to", lambda server: post)
    return batches


@pytest.fixture(autouse=True)
def no_sensor(monkeypatch):
    """Nothing for a stand-in to read, unless a test brings a rack of its own."""
    monkeypatch.setattr(stand_in, "open_rack", lambda: Rack([], here=Machine()))


@pytest.fixture(autouse=True)
def own_data_folder(settings, tmp_path):
    settings.DATA_DIR = tmp_path / "var"
    settings.DATA_DIR.mkdir()
    run.STOP.clear()
    yield settings.DATA_DIR
    run.STOP.clear()
