"""The numbers of the load models in accounting.methods.estimate, each with its source and what it was fitted on.

Node draw is calibrated on the AC meters of 153 MLPerf Training v4.0 runs of Supermicro nodes with 8 H100 SXM (700 W
each), switches and cooling left out: mean node power over 8 x 700 W, the geometric mean over the (system, benchmark)
cells so that no benchmark counts more for having been repeated. Residuals (model over meter, all 153 runs): single
nodes 0.97 to 1.04 (80 runs); 8, 9 and 64 nodes 0.87 to 1.18 (73 runs), of which the 10 runs of Llama 2 LoRA on 64
nodes, which wait for each other most, are beyond 15 %.
"""

from accounting.methods.records import Factor, Range, Status

_MLPERF = (
    "MLCommons, MLPerf Training v4.0 results with power, Supermicro H100 SXM (AC meters)",
    "https://github.com/mlcommons/training_results_v4.0",
    2024,
    "Apache-2.0",
)
_ACME = (
    "Hu et al., Characterization of Large Language Model Development in the Datacenter (Acme trace)",
    "https://github.com/InternLM/AcmeTrace",
    2024,
    "CC-BY-4.0",
)


def _factor(name: str, low: float, mid: float, high: float, unit: str, about: tuple[str, str, int, str]) -> Factor:
    return Factor(f"power_model:{name}", Range(low, mid, high), unit, Status.MODELLED, *about)


# Wall power of a busy node over the TDP of its GPUs. Ranges: the runs' own spread, widened to other makes of node.
NODE_DRAW_ONE_NODE = _factor("node_draw_one_node:mlperf-v4", 1.05, 1.255, 1.45, "1", _MLPERF)
NODE_DRAW_MANY_NODES = _factor("node_draw_many_nodes:mlperf-v4", 0.88, 1.065, 1.28, "1", _MLPERF)
NODE_DRAW_UNKNOWN_COUNT = _factor("node_draw_unknown_count:mlperf-v4", 0.95, 1.157, 1.40, "1", _MLPERF)
DEVICES_PER_NODE = 8  # of the nodes above: up to this many devices are taken for one node

# 2.1 to 2.9 kW before and after the runs, over the busy draw of the same nodes (1.255 x 5.6 kW).
NODE_IDLE_SHARE = _factor("node_idle_share:mlperf-v4", 0.29, 0.33, 0.41, "1", _MLPERF)
# A100 of 400 W: 62 W at the 5th percentile, 101 W at the median of a cluster that is mostly waiting.
GPU_IDLE_SHARE = _factor("gpu_idle_share:acme", 0.10, 0.155, 0.25, "1", _ACME)
# Server over 8 x GPU at the 90th to 98th percentile: 1.53 to 1.55; low: H100 nodes whose GPUs draw their full TDP.
NODE_OVER_GPU = _factor("node_over_gpu:acme", 1.25, 1.45, 1.65, "1", _ACME)

CPU_IDLE_SHARE = Factor(
    "power_model:cpu_idle_share:codecarbon", Range(0.05, 0.1, 0.4), "1", Status.MODELLED,
    "CodeCarbon 3.3.2, process mode: at least a tenth of TDP; high: our judgement for idle servers",
    "https://github.com/mlco2/codecarbon", 2026, "MIT",
)  # fmt: skip
TEADS_CURVE = ((0.0, 0.12), (0.1, 0.32), (0.5, 0.75), (1.0, 1.02))
TEADS_SOURCE = "https://medium.com/teads-engineering/building-an-aws-ec2-carbon-emissions-dataset-3f0fd76c98ac"
BOAVIZTA_XEON_PLATINUM = {"a": 171.1813, "b": 0.0354, "c": 36.8953, "d": -10.1336}
BOAVIZTA_SOURCE = "https://doc.api.boavizta.org/Explanations/components/cpu/"
MEMORY_W_PER_GB = Factor(
    "power_model:memory_w_per_gb:green-algorithms", Range(0.04, 0.3725, 0.392), "W/GB", Status.MODELLED,
    "Lannelongue et al., Green Algorithms; low: CodeCarbon's 38 W for 1 TB; high: Cloud Carbon Footprint",
    "https://doi.org/10.1002/advs.202100707", 2021, "facts; the paper CC-BY-4.0",
)  # fmt: skip

# Where neither the device nor its data sheet is known: an accelerator between an inference card and a Blackwell.
ANY_ACCELERATOR_TDP = Factor(
    "power_model:any_accelerator_tdp", Range(70.0, 400.0, 1200.0), "W", Status.DEFAULT,
    "our judgement: low NVIDIA T4, mid NVIDIA A100 SXM, high NVIDIA GB200 (their data sheets)",
    "https://www.nvidia.com/en-us/data-center/", 2025, "facts",
)  # fmt: skip
