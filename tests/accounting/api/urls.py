"""The API alone at the root, as the project mounts it."""

from django.urls import include, path

urlpatterns = [path("", include("accounting.api.urls"))]
