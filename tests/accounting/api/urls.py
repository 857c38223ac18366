"""The API as the project mounts it, with the pages that its answers point to."""

from django.urls import include, path

from greenai.api import api

urlpatterns = [
    path("", include("accounting.api.urls")),
    path("api/v1/", api.urls),
    path("", include("accounting.urls")),
]
