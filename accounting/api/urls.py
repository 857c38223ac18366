"""Every address that programs use, and who may.

| address | method | who |
|---|---|---|
| /api/v1/telemetry | POST | tokens with the scope ingest |
| /api/codecarbon/… | POST, GET, PATCH | CodeCarbon's clients: `codecarbon` |
| /api/v1/prom/write | POST | the same; Prometheus remote-write |
| /api/v1/footprint | GET | tokens of a team or the organisation that may read; the signed in: `footprint.router` |
| /api/v1/estimates | POST | the same: `estimates.router` |
| /v1/metrics, /api/v1/otlp/v1/metrics | POST | tokens with the scope ingest; OTLP |
| /api/v1/manifest, /api/v1/audit, /api/v1/model-card | GET | the same: `exports.router` |
| /api/v1/job | GET | the same: `tracking.router` |
| /api/v1/metering | GET | tokens with the scope ingest: `tracking.router` |
| /agent/greenai-agent.pyz, …pyz.sha256 | GET | anyone |
"""

from django.urls import path

from accounting.api.agent_download import agent_archive, agent_sha256
from accounting.api.codecarbon import codecarbon
from accounting.api.otlp import otlp_metrics
from accounting.api.prom_write import prom_write
from accounting.api.telemetry import telemetry

urlpatterns = [
    path("api/v1/telemetry", telemetry, name="telemetry"),
    path("v1/metrics", otlp_metrics, name="otlp-metrics"),
    path("api/v1/otlp/v1/metrics", otlp_metrics, name="otlp-metrics-prefixed"),
    path("api/codecarbon/<path:rest>", codecarbon, name="codecarbon"),
    path("api/v1/prom/write", prom_write, name="prom-write"),
    path("agent/greenai-agent.pyz", agent_archive, name="agent-archive"),
    path("agent/greenai-agent.pyz.sha256", agent_sha256, name="agent-sha256"),
]
