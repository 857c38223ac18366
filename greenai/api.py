"""The read and control API at /api/v1/, of both apps; its description for programs is at /api/v1/openapi.json.

Telemetry is not here: its path is a plain view, for speed (accounting/api/telemetry.py).
"""

from ninja import NinjaAPI

from accounting.api.estimates import router as estimates_router
from accounting.api.exports import router as exports_router
from accounting.api.footprint import router as footprint_router
from accounting.api.problem import answer_problems
from accounting.api.tracking import router as tracking_router
from optimizer.api.experiments import router as experiments_router
from optimizer.api.recommendations import router as recommendations_router

api = NinjaAPI(title="GreenAI", version="1", docs_url=None, urls_namespace="api")
answer_problems(api)
api.add_router("", footprint_router)
api.add_router("", exports_router)
api.add_router("", tracking_router)
api.add_router("", estimates_router)
api.add_router("", experiments_router)
api.add_router("", recommendations_router)
