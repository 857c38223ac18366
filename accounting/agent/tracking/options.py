"""What `track` is given, checked; what the environment says where it is given nothing."""

import os
import re
import sys
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args
from uuid import uuid4

from accounting.agent.jobs import MAX_KEY
from accounting.agent.post import ConfigurationError, Token
from accounting.agent.tracking.station import Measure

FLUSH_S = 5.0


@dataclass(frozen=True, slots=True)
class Options:
    """What `track` was given."""

    job: str | None = None
    name: str = ""
    kind: str = ""
    model: str = ""
    project: str | None = None
    team: str | None = None
    server: str | None = None
    token: str | None = field(default=None, repr=False)
    read_token: str | None = field(default=None, repr=False)
    host: str | None = None
    measure: Measure = "auto"
    interval_s: float = 5.0
    folder: str | os.PathLike[str] | None = None
    flush_s: float = FLUSH_S


def check(options: Options) -> None:
    """Raises:
    ValueError: an argument that can never work.
    """
    if options.measure not in get_args(Measure):
        raise ValueError(f"measure={options.measure!r}: one of {', '.join(get_args(Measure))}")
    if not 0.1 <= options.interval_s <= 60:
        raise ValueError(f"interval_s={options.interval_s!r}: 0.1 to 60 seconds")
    if options.job is not None and not (0 < len(options.job) <= MAX_KEY and options.job.isprintable()):
        raise ValueError(f"{options.job[:40]!r} is not a job name of at most {MAX_KEY} printable characters")


def made_up(name: str) -> str:
    what = name or Path(sys.argv[0] or "python").stem or "python"
    return f"{plain(what)}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{uuid4().hex[:6]}"


def plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text)[:100] or "unnamed"


def server_of(options: Options) -> str:
    """Raises:
    ConfigurationError: none is given.
    """
    server = options.server or os.environ.get("GREENAI_SERVER")
    if not server:
        raise ConfigurationError("no server: give server=, or set GREENAI_SERVER")
    return server.rstrip("/")


def token_of(options: Options) -> Token:
    if options.token:
        return Token(options.token.strip, "token=")
    if not any(os.environ.get(name) for name in ("GREENAI_TOKEN_FILE", "GREENAI_TOKEN")):
        raise ConfigurationError("no token: give token=, or set GREENAI_TOKEN_FILE or GREENAI_TOKEN")
    return Token.find(None)


def folder_of(options: Options) -> Path:
    told = options.folder or os.environ.get("GREENAI_TRACK_DIR")
    if told:
        return Path(told)
    try:
        return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "greenai-track"
    except RuntimeError:  # a user without a home
        return Path(tempfile.gettempdir()) / f"greenai-track-{os.getuid()}"
