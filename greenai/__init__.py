from greenai.celery import app as celery_app

VERSION = "0.1.0"  # of the product; the agent's own is in accounting.agent

__all__ = ["VERSION", "celery_app"]
