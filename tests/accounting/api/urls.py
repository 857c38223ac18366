"""The API alone, as the project mounts it."""

from django.urls import include, path

from greenai.api import api

urlpatterns = [path("", include("accounting.api.urls")), path("api/v1/", api.urls)]
