#!/usr/bin/env python
"""GreenAI's command line: `python manage.py up` runs the whole product on this machine."""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "greenai.settings")
    execute_from_command_line(sys.argv)
