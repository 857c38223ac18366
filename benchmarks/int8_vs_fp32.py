"""Claim: what int8 does to energy, latency, memory, size and quality, side by side with fp32 in one run, with spread.

The product's own experiment protocol on both built-in inference models: a child process does the work in randomised
rounds, this process meters. Each line is variant / fp32 with the interval that holds for all variants together (95 %);
an interval that spans 1 is no difference. Energy is MODELLED from CPU load where the machine has no power sensor.
BENCH_SHORT=1 takes the small model only, with 8 rounds instead of 20.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from optimizer.measure.energy import Recorder, find_meter  # noqa: E402
from optimizer.measure.protocol import BASELINE, Plan, PlannedVariant, Transcript  # noqa: E402
from optimizer.measure.summary import Results, summarize  # noqa: E402
from optimizer.techniques.registry import technique  # noqa: E402

SHORT = bool(os.environ.get("BENCH_SHORT"))
WORKLOADS = ("digits-classifier",) if SHORT else ("digits-classifier", "minilm-retrieval")
ROUNDS = 8 if SHORT else 20
PRINTED = (
    "energy_j_per_unit", "cpu_s_per_unit", "latency_p50_s", "latency_p95_s", "peak_memory_bytes", "size_bytes",
)  # fmt: skip


def main() -> None:
    for workload in WORKLOADS:
        variants = technique("quantize").variants("inference", workload)
        labels = dict(enumerate(["fp32", *(variant.label for variant in variants)]))
        planned = [PlannedVariant(i, "quantize", dict(v.parameters)) for i, v in enumerate(variants, start=1)]
        with tempfile.TemporaryDirectory() as folder:
            plan = Plan(
                workload, f"{folder}/kept", f"{folder}/run", (PlannedVariant(0, BASELINE), *planned), repeats=ROUNDS
            )
            transcript, results = run(plan)
        show(transcript, results, labels)


def run(plan: Plan) -> tuple[Transcript, Results]:
    transcript = Transcript(plan)
    command = [sys.executable, "-m", "optimizer.measure.child"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with Recorder(find_meter()) as recorder, subprocess.Popen(command, cwd=ROOT, **pipes) as child:
        assert child.stdin and child.stdout
        with child.stdin as stdin:
            stdin.write(plan.to_json().encode())
        for line in child.stdout:
            transcript.take(line, received_ns=time.monotonic_ns())
    if not transcript.done:
        sys.exit(f"the run ended early: {transcript.aborted or 'no reason given'}")
    return transcript, summarize(transcript, recorder.log)


def show(transcript: Transcript, results: Results, labels: dict[int, str]) -> None:
    said = transcript.started
    print(f"\n{said['workload']}: {ROUNDS} rounds, {said['threads']} threads, torch {said['torch']}")
    for measurement in results.measurements:
        if measurement.position == transcript.plan.baseline:
            figure = f"{measurement.mid:12.5g}  [{measurement.low:.5g}, {measurement.high:.5g}]"
            print(f"  fp32 {measurement.quantity:22} {figure}  {measurement.status}  {measurement.method}")
    for position, label in labels.items():
        if position in transcript.failures:
            print(f"  {label}: {transcript.failures[position]}")
    status = {m.quantity: m.status for m in results.measurements}
    for compared in results.comparisons:
        label = labels[compared.position]
        if compared.quantity in PRINTED:
            figures = f"{compared.ratio:6.3f} x fp32  [{compared.ratio_low:.3f}, {compared.ratio_high:.3f}]"
        elif compared.quantity == "quality":
            points = (100 * d for d in (compared.difference, compared.difference_low, compared.difference_high))
            figures = "{:+6.2f} points  [{:+.2f}, {:+.2f}]".format(*points)
        else:
            continue
        verdict = compared.verdict.replace("_", " ")
        print(f"  {label:32} {compared.quantity:18} {figures:38} {verdict:14} {status[compared.quantity]}")


if __name__ == "__main__":
    main()
