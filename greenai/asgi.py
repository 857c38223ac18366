import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "greenai.settings")
os.environ.setdefault("GREENAI_DATABASE_TIMEOUT_S", "30")
application = get_asgi_application()
