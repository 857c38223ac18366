"""The Celery app. Working modules never import it: tasks live in each app's tasks.py."""

import os
import warnings

from celery import Celery
from celery.platforms import SecurityWarning

from greenai import broker

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "greenai.settings")

# Celery warns root because pickled messages could run code; ours are JSON only (CELERY_ACCEPT_CONTENT).
warnings.filterwarnings("ignore", category=SecurityWarning)

broker.register()
app = Celery("greenai")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
