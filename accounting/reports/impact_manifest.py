"""A job or a period as an Impact Framework manifest: a file that `if-run` computes again and `if-check` verifies.

Format: Green Software Foundation, Impact Framework 1.x, manifest reference. Quantities it has a name for keep that
name (`energy` is facility energy in kWh, `grid/carbon-intensity` in g/kWh, carbon in g).
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC
from typing import Any

import yaml

from accounting.methods.units import S_PER_HOUR
from accounting.reports.evidence import DeviceHour

_PLUGINS = {
    "operational": {
        "path": "builtin",
        "method": "Multiply",
        "config": {"input-parameters": ["energy", "grid/carbon-intensity"], "output-parameter": "carbon-operational"},
    },
    "carbon": {
        "path": "builtin",
        "method": "Sum",
        "config": {"input-parameters": ["carbon-operational", "carbon-embodied"], "output-parameter": "carbon"},
    },
}

_ANY = "any"  # nothing of it depends on the machine
_EXECUTION = {  # `if-check` installs what this names, computes the inputs again and compares the outputs
    "command": "GreenAI, GET /api/v1/manifest",
    "environment": {
        "if-version": "1.1.0",
        "os": _ANY,
        "os-version": _ANY,
        "node-version": _ANY,
        "date-time": _ANY,
        "dependencies": ["@grnsft/if@1.1.0"],
    },
    "status": "success",
}


def manifest(hours: Iterable[DeviceHour], *, name: str, description: str) -> dict[str, Any]:
    """Inputs and outputs of every device, hour by hour.

    The ledger's facility energy and the intensity that its carbon comes to in the hour are inputs; carbon is computed
    from them by the pipeline, and stands in the outputs as it comes out.
    """
    several = list(hours)
    names = _names(several)
    inputs: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for hour in several:
        inputs[names[hour.device_id]].append(_input(hour))
    children = {
        device: {
            "pipeline": {"compute": list(_PLUGINS)},
            "inputs": rows,
            "outputs": [_with_outputs(row) for row in rows],
        }
        for device, rows in inputs.items()
    }
    return {
        "name": name,
        "description": description,
        "tags": {"kind": "ledger export", "category": "measured and modelled, see greenai/status of each input"},
        "initialize": {"plugins": _PLUGINS},
        "execution": _EXECUTION,
        "tree": {"children": children},
    }


def as_yaml(document: dict[str, Any]) -> str:
    """Without aliases, which other readers may not follow, and numbers to their last digit."""
    return yaml.dump(document, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=120)


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _names(hours: Iterable[DeviceHour]) -> dict[int, str]:
    """Of each device; hosts of different teams may bear the same name, and then their number tells them apart."""
    of = {hour.device_id: hour.device for hour in hours}
    count = Counter(of.values())
    return {pk: name if count[name] == 1 else f"{name} #{pk}" for pk, name in of.items()}


def _input(hour: DeviceHour) -> dict[str, Any]:
    known = hour.facility_energy_kwh > 0
    return {
        "timestamp": hour.hour.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "duration": int(S_PER_HOUR),
        "energy": hour.facility_energy_kwh,
        "grid/carbon-intensity": hour.co2e_location_g / hour.facility_energy_kwh if known else 0.0,
        "carbon-embodied": hour.embodied_g,
        "greenai/it-energy": hour.it_energy_kwh,
        "greenai/covered-seconds": hour.covered_s,
        "greenai/status": " ".join(hour.statuses),
        "greenai/factors": " ".join(hour.factor_ids),
    }


def _with_outputs(row: dict[str, Any]) -> dict[str, Any]:
    operational = row["energy"] * row["grid/carbon-intensity"]
    return {**row, "carbon-operational": operational, "carbon": operational + row["carbon-embodied"]}
