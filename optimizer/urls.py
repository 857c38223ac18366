"""The optimizer's pages."""

from django.urls import path

from optimizer.views import experiments, hardware, recommendations, workloads

urlpatterns = [
    path("workloads/", workloads.index, name="workloads"),
    path("workloads/add/", workloads.add, name="workload-add"),
    path("workloads/<int:pk>/", workloads.detail, name="workload"),
    path("workloads/<int:pk>/volume/", workloads.volume, name="workload-volume"),
    path("experiments/", experiments.index, name="experiments"),
    path("experiments/<uuid:pk>/", experiments.detail, name="experiment"),
    path("experiments/<uuid:pk>/progress/", experiments.progress, name="experiment-progress"),
    path("experiments/<uuid:pk>/cancel/", experiments.cancel, name="experiment-cancel"),
    path("experiments/<uuid:pk>/results.csv", experiments.results_csv, name="experiment-csv"),
    path("experiments/<uuid:pk>/chart.json", experiments.chart, name="experiment-chart"),
    path("recommendations/", recommendations.index, name="recommendations"),
    path("recommendations/<int:pk>/", recommendations.detail, name="recommendation"),
    path("recommendations/<int:pk>/decide/", recommendations.decide, name="recommendation-decide"),
    path("hardware/", hardware.index, name="hardware"),
    path("hardware/<int:pk>/", hardware.detail, name="hardware-detail"),
    path("hardware/<int:pk>/state/", hardware.set_state, name="hardware-state"),
]
