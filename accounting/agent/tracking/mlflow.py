"""A job's footprint on an MLflow run: metrics for the figures, tags for what they are of. Needs mlflow, loaded late."""

import logging
from importlib import import_module
from typing import Any

from accounting.agent.track import Footprint, Track

log = logging.getLogger("greenai.track")


def log_to_mlflow(job: Track, *, wait_s: float = 60.0, run_id: str | None = None) -> Footprint | None:
    """Log on the run that is active, or on `run_id`, what the ledger has of the job; wait up to `wait_s` for all of it.

    A tracker that is down, or a token that may not read, is logged as a warning and answers None: the run goes on.

    Raises:
        ImportError: mlflow is not installed.
    """
    mlflow: Any = import_module("mlflow")
    try:
        found = job.footprint(wait_s=wait_s)
        mlflow.log_metrics(found.metrics("greenai/"), run_id=run_id)
        tags = {"greenai.job": found.job, "greenai.status": found.status or "", "greenai.complete": str(found.complete)}
        tags |= {"greenai.pending": "; ".join(found.pending)} if found.pending else {}
        client = mlflow.tracking.MlflowClient()
        of = run_id or mlflow.active_run().info.run_id
        for name, value in tags.items():
            client.set_tag(of, name, value)
    except Exception as error:  # a tracker's failure, whatever its kind, must not end a training
        log.warning("the footprint of job %s is not logged to MLflow: %s", job.job, error)
        return None
    return found
