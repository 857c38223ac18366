"""What `status` and `doctor` tell: facts in one flat or nested dict, shown as text or as JSON."""

import json
import os
from pathlib import Path
from typing import Any

from accounting.agent import VERSION
from accounting.agent.post import Client, Kind
from accounting.agent.sensors.rack import Rack
from accounting.agent.spool import Spool
from accounting.agent.spoolfile import agent_runs
from accounting.agent.wire import TelemetryBatch


def status(spool: Spool, folder: Path) -> tuple[dict[str, Any], bool]:
    """What the spool remembers. Well means: an agent runs on it, and the last post was delivered."""
    facts = spool.facts()
    running = agent_runs(folder)
    told = {
        "version": VERSION,
        "running": running,
        "host": facts.get("host", ""),
        "server": facts.get("server", ""),
        "boot_id": spool.stream,
        **spool.counts(),
        "last_delivered_at": facts.get("last_delivered_at", ""),
        "last_error": facts.get("last_error", ""),
        "last_error_at": facts.get("last_error_at", ""),
    }
    return told, running and bool(told["last_delivered_at"]) and not told["last_error"]


def doctor(rack: Rack, folder: Path, client: Client | None) -> tuple[dict[str, Any], bool]:
    """Try everything once. Well means: something measures, the spool can be written, the server takes the token."""
    rack.open_missing()
    sensors: dict[str, Any] = {}
    for name, state in rack.states().items():
        sensor = next((s for asked, s in rack.open.items() if asked.split(":")[0] == name), None)
        sensors[name] = {"works": sensor is not None}
        if sensor:
            sensors[name] |= {
                "gives": sensor.status,
                "devices": [f"{d.device} {d.model}".strip() for d in sensor.devices()],
                "notes": list(sensor.notes()),
            }
        else:
            unavailable = next(error for asked, error in rack.unavailable.items() if asked.split(":")[0] == name)
            sensors[name] |= {"why": state, "remedy": unavailable.remedy}
    spool_trouble = _spool_trouble(folder)
    findings: dict[str, Any] = {"version": VERSION, "sensors": sensors, "spool": spool_trouble or f"{folder} is fine"}
    server_ok = True
    if client:
        outcome = client.post(TelemetryBatch())
        server_ok = outcome.kind is Kind.DELIVERED
        findings["server"] = f"{client.url} takes this token" if server_ok else outcome.detail
    rack_works = bool(rack.open)
    rack.close()
    return findings, rack_works and not spool_trouble and server_ok


def show(told: dict[str, Any], *, as_json: bool) -> None:
    print(json.dumps(told) if as_json else "\n".join(_lines(told)), flush=True)


def _lines(told: dict[str, Any], indent: str = "") -> list[str]:
    lines = []
    for name, value in told.items():
        if isinstance(value, dict):
            lines += [f"{indent}{name}", *_lines(value, indent + "  ")]
        elif isinstance(value, list):
            lines += [f"{indent}{name}: {entry}" for entry in value]
        elif value != "":
            lines.append(f"{indent}{name}: {_word(value)}")
    return lines


def _word(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _spool_trouble(folder: Path) -> str:
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        return f"{folder} cannot be written by this user: choose another with --spool"
    return ""
