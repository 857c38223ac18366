"""A job's footprint in the summary of a Weights & Biases run. Needs wandb, loaded late."""

import logging
from importlib import import_module
from typing import Any

from accounting.agent.track import Footprint, Track

log = logging.getLogger("greenai.track")


def log_to_wandb(job: Track, *, wait_s: float = 60.0, run: Any = None) -> Footprint | None:
    """Put into the summary of `run`, or of the run that is active, what the ledger has of the job.

    A tracker that is down, or a token that may not read, is logged as a warning and answers None: the run goes on.

    Raises:
        ImportError: wandb is not installed.
    """
    wandb: Any = import_module("wandb")
    try:
        found = job.footprint(wait_s=wait_s)
        of = run or wandb.run
        if of is None:
            raise RuntimeError("no run is active: wandb.init() first, or give run=")
        told = {"greenai/job": found.job, "greenai/status": found.status, "greenai/pending": "; ".join(found.pending)}
        of.summary.update({**found.metrics("greenai/"), **told})
    except Exception as error:  # a tracker's failure, whatever its kind, must not end a training
        log.warning("the footprint of job %s is not logged to Weights & Biases: %s", job.job, error)
        return None
    return found
