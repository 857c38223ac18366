"""The optimizer tables. `optimizer.worker` alone writes measurements, `optimizer.recommend` alone recommendations."""

from optimizer.models.experiments import Experiment, Variant
from optimizer.models.hardware import Hardware
from optimizer.models.measurements import Comparison, Measurement
from optimizer.models.recommendations import Recommendation
from optimizer.models.workloads import Workload

__all__ = ["Comparison", "Experiment", "Hardware", "Measurement", "Recommendation", "Variant", "Workload"]
