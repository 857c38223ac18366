import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "greenai.settings")
os.environ.setdefault("GREENAI_DATABASE_TIMEOUT_S", "30")
application = get_wsgi_application()
