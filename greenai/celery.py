"""The Celery app. Working modules never import it: tasks live in each app's tasks.py."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "greenai.settings")

app = Celery("greenai")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
