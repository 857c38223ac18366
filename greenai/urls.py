"""Every address of the product: pages of both apps, the API, sign-in."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from greenai import health, home, metrics
from greenai.api import api

urlpatterns: list[URLPattern | URLResolver] = [
    path("", home.home, name="home"),
    path("live", home.home_live, name="home-live"),
    path("trend.json", home.home_trend, name="home-trend"),
    path("", include("accounting.api.urls")),
    path("api/v1/", api.urls),
    path("", include("accounting.urls")),
    path("", include("optimizer.urls")),
    path("metrics", metrics.metrics, name="metrics"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("admin/", admin.site.urls),
]
