"""Settings, all from the environment. docs/operations.md has the table of every variable.

Nothing set: SQLite and Celery's filesystem transport under GREENAI_DATA_DIR. DATABASE_URL and REDIS_URL switch to
PostgreSQL and Redis with nothing else changed.
"""

import secrets
import sys
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import dj_database_url
import structlog
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from environs import FileAwareEnv

env = FileAwareEnv()  # NAME_FILE=/path is read where NAME is not set

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = env.path("GREENAI_DATA_DIR", BASE_DIR / "var").resolve()
DATA_DIR.mkdir(parents=True, exist_ok=True)

DEBUG = env.bool("DEBUG", False)
BASE_URL = env.str("GREENAI_BASE_URL", "http://127.0.0.1:8000").rstrip("/")
HTTPS = BASE_URL.startswith("https://")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", [urlsplit(BASE_URL).hostname, "localhost", "127.0.0.1"])
CSRF_TRUSTED_ORIGINS = [BASE_URL]


def _secret_key() -> str:
    """SECRET_KEY (or SECRET_KEY_FILE), else one made once and kept in the data folder for the embedded setup."""
    if configured := env.str("SECRET_KEY", ""):
        if len(configured) < 32:
            raise ImproperlyConfigured("SECRET_KEY is shorter than 32 characters: make one with `openssl rand -hex 32`")
        return configured
    kept = DATA_DIR / "secret_key"
    try:
        with kept.open("x") as file:
            kept.chmod(0o600)
            file.write(secrets.token_urlsafe(48))
    except FileExistsError:
        pass
    return kept.read_text()


SECRET_KEY = _secret_key()

INSTALLED_APPS = [
    "accounting",
    "optimizer",
    "greenai",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "csp",
    "django_htmx",
    "ninja",  # bundles the API docs' assets: nothing comes from a CDN
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "greenai.read_only.ReadOnlyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "greenai.time_zone.TimeZoneMiddleware",
]
ROOT_URLCONF = "greenai.urls"
WSGI_APPLICATION = "greenai.wsgi.application"
ASGI_APPLICATION = "greenai.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "greenai.navigation.navigation",
            ],
        },
    },
]

# Data
DATABASES = {
    "default": dj_database_url.parse(
        env.str("DATABASE_URL", f"sqlite:///{DATA_DIR / 'greenai.sqlite3'}"), conn_max_age=600, conn_health_checks=True
    )
}
SQLITE = DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3"
if SQLITE:
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",  # a writer waits its turn instead of failing halfway
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=20000;",
    }
    # Tests use a file too: SQLite's in-memory database has other locks, so races between threads would not be real.
    DATABASES["default"]["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}
else:
    # A stuck database answers for itself after this long. wsgi.py and asgi.py set it: a web server's threads are few,
    # while a migration or a rebuild may take what it takes.
    _timeout_ms = round(env.float("GREENAI_DATABASE_TIMEOUT_S", 0.0) * 1000)
    _limits = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    DATABASES["default"].setdefault("OPTIONS", {}).setdefault("connect_timeout", 5)
    if _timeout_ms:
        DATABASES["default"]["OPTIONS"].setdefault("options", " ".join(f"-c {name}={_timeout_ms}" for name in _limits))
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "accounting.User"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"

# Celery: the database is the truth, a message only a nudge; so JSON only, nothing kept in the broker that matters.
REDIS_URL = env.str("REDIS_URL", "")
CELERY_BROKER_URL = REDIS_URL or "files://localhost/"
if REDIS_URL:
    CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 3600}
else:
    _queue = DATA_DIR / "queue"
    for _folder in ("messages", "control"):
        (_queue / _folder).mkdir(parents=True, exist_ok=True)
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(_queue / "messages"),
        "data_folder_out": str(_queue / "messages"),
        "control_folder": str(_queue / "control"),
        "polling_interval": 0.05,
    }
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_REDIRECT_STDOUTS = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_DEFAULT_QUEUE = "ledger"
CELERY_TIMEZONE = "UTC"

# Sessions, cookies, headers
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_SSL_REDIRECT = False  # the proxy in front redirects; a second redirect here would loop behind it
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.bool("GREENAI_TRUST_PROXY", False) else None
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF, "'unsafe-inline'"],  # plotly.js writes style elements; scripts stay strict
        "img-src": [SELF, "data:", "blob:"],
        "connect-src": [SELF],
        "font-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]

# Pages
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
_plotly = Path(find_spec("plotly").submodule_search_locations[0])  # found without importing it: that takes a second
STATICFILES_DIRS = [BASE_DIR / "static", ("plotly", _plotly / "package_data")]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

# Ledger and experiments
GREENAI = {
    "currency": env.str("GREENAI_CURRENCY", "EUR"),
    "max_gap_s": env.float("GREENAI_MAX_GAP_S", 120.0),  # neighbours further apart leave a hole
    "facility_max_age_s": env.float("GREENAI_FACILITY_MAX_AGE_S", 3600.0),  # how long a facility reading holds
    "future_limit_s": env.float("GREENAI_FUTURE_LIMIT_S", 300.0),  # samples further ahead are rejected
    "raw_retention_days": env.int("GREENAI_RAW_RETENTION_DAYS", 400),  # 0: for ever
    "ingest_at_once": env.int("GREENAI_INGEST_AT_ONCE", 6),  # of the web server's eight threads
    "ingest_waiting": env.int("GREENAI_INGEST_WAITING", 1),
    "ledger_interval_s": env.float("GREENAI_LEDGER_INTERVAL_S", 4.0),
    "ledger_open_hour_s": env.float("GREENAI_LEDGER_OPEN_HOUR_S", 60.0),  # how long running hours of a fleet may wait
    "ledger_workers": 1 if SQLITE else max(1, env.int("GREENAI_LEDGER_WORKERS", 1)),  # SQLite has one writer
    "lease_s": env.float("GREENAI_LEASE_S", 60.0),
    "heartbeat_s": env.float("GREENAI_HEARTBEAT_S", 10.0),
    "sweep_s": env.float("GREENAI_SWEEP_S", 15.0),
    "max_attempts": env.int("GREENAI_MAX_ATTEMPTS", 3),
    "emission_basis": env.str("GREENAI_EMISSION_BASIS", "lifecycle"),  # of hourly intensities that the ledger uses
    "grid_interval_s": env.float("GREENAI_GRID_INTERVAL_S", 300.0),
    "grid_backfill_days": env.int("GREENAI_GRID_BACKFILL_DAYS", 10),  # how far back a new feed asks
    "grid_stale_h": env.float("GREENAI_GRID_STALE_H", 6.0),  # how long live figures may show an earlier hour's value
    "agent_silent_s": env.float("GREENAI_AGENT_SILENT_S", 600.0),
    "metrics_open": env.bool("GREENAI_METRICS_OPEN", False),  # /metrics of the whole organisation without a token
    "read_only": env.bool("GREENAI_READ_ONLY", False),  # the database is a replica
    "market_matching": env.str("GREENAI_MARKET_MATCHING", "annual"),  # or hourly; a site's terms may say otherwise
}
if GREENAI["emission_basis"] not in ("lifecycle", "direct"):
    raise ImproperlyConfigured(f"GREENAI_EMISSION_BASIS is {GREENAI['emission_basis']!r}: write lifecycle or direct")


if GREENAI["market_matching"] not in ("annual", "hourly"):
    raise ImproperlyConfigured(f"GREENAI_MARKET_MATCHING is {GREENAI['market_matching']!r}: write annual or hourly")


if 0 < GREENAI["raw_retention_days"] < 7 or GREENAI["raw_retention_days"] < 0:
    raise ImproperlyConfigured(
        f"GREENAI_RAW_RETENTION_DAYS is {GREENAI['raw_retention_days']}: write at least 7 days, or 0 to keep all"
    )


def _every(seconds: float, task: str) -> dict[str, object]:
    """A beat entry; a message not taken within its own interval is dropped, the next one does its work."""
    return {"task": task, "schedule": seconds, "options": {"expires": max(seconds, 5.0)}}


CELERY_BEAT_SCHEDULE = {
    **{  # one nudge a worker: who finds nothing to do ends at once
        f"ledger-{k}": _every(GREENAI["ledger_interval_s"], "accounting.rebuild_dirty_hours")
        for k in range(1, GREENAI["ledger_workers"] + 1)
    },
    "in-service": _every(60.0, "accounting.mark_in_service_hours"),
    "in-service-since-ever": {**_every(86_400.0, "accounting.mark_in_service_hours"), "kwargs": {"whole_past": True}},
    "sample-days": _every(3600.0, "accounting.make_sample_days"),
    "retention": _every(3600.0, "accounting.retire_raw_samples"),
    "grid": _every(GREENAI["grid_interval_s"], "accounting.fetch_grid_hours"),
    "held-files": _every(60.0, "accounting.take_held_files"),
    "intake": _every(3600.0, "accounting.fold_intake"),
    "experiments": _every(GREENAI["sweep_s"], "optimizer.sweep_experiments"),
}

# Logs: one line an event on stdout; GREENAI_LOG=json for machines, which also want the time and everything attached
_json_logs = env.str("GREENAI_LOG", "text") == "json"
_log_renderer = (
    structlog.processors.JSONRenderer()
    if _json_logs
    else structlog.dev.ConsoleRenderer(
        colors=False, pad_event_to=0, pad_level=False, exception_formatter=structlog.dev.plain_traceback
    )
)
_log_steps = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    *([structlog.stdlib.ExtraAdder(), structlog.processors.TimeStamper(fmt="iso", utc=True)] if _json_logs else []),
]
structlog.configure(
    processors=[*_log_steps, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
    cache_logger_on_first_use=True,
)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": structlog.stdlib.ProcessorFormatter,
            "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, _log_renderer],
            "foreign_pre_chain": _log_steps,
        }
    },
    "handlers": {"stdout": {"class": "logging.StreamHandler", "stream": sys.stdout, "formatter": "line"}},
    "root": {"handlers": ["stdout"], "level": env.str("GREENAI_LOG_LEVEL", "INFO")},
    "loggers": {  # a line for each of beat's nudges would drown the rest
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
    },
}
