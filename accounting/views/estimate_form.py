"""What a person may state of a run on the page: the fields of the API, in words. accounting.estimates checks them."""

from typing import Any

from django import forms
from django.http import QueryDict

from accounting.estimates.run import NUMBERS, TEXTS

_FIRST = {
    "device": ("Device", "A name, for example H100 SXM or AMD EPYC 7742"),
    "count": ("How many", "Devices that work together"),
    "hours": ("Hours", "Time of the run"),
    "utilization": ("Utilization, 0 to 1", "Empty: as busy as metered training nodes"),
    "zone": ("Grid zone", "For example FR or US-CA"),
    "pue": ("PUE", "Facility energy / IT energy"),
}
_MORE = {
    "gpu_hours": ("Device hours", "Of all devices together; goes before count x hours"),
    "power_w": ("Power of one device, W", "Mean draw with its share of the node"),
    "it_energy_kwh": ("IT energy, kWh", "What the machines drew"),
    "facility_energy_kwh": ("Facility energy, kWh", "What the building drew for them; PUE is in it"),
    "cloud_provider": ("Cloud provider", "aws, azure or gcp"),
    "cloud_region": ("Cloud region", "For example us-east-1"),
    "country": ("Country", "A name or code"),
    "year": ("Year", "Of the grid intensity"),
    "intensity_g_per_kwh": ("Grid intensity, g/kWh", "Location-based"),
    "market_intensity_g_per_kwh": ("Contract intensity, g/kWh", "Market-based"),
    "wue_l_per_kwh": ("WUE, L/kWh of IT energy", ""),
    "ewif_l_per_kwh": ("EWIF, L/kWh of facility energy", ""),
    "embodied_kg_per_device": ("Making a device, kg", ""),
    "embodied_server_kg": ("Making its server, kg", "Without the devices"),
    "devices_per_server": ("Devices per server", ""),
    "lifetime_hours": ("Lifetime, h", ""),
    "use_ratio": ("Share of the lifetime in use, 0 to 1", ""),
    "price_per_kwh": ("Electricity price per kWh", ""),
    "unit_name": ("Functional unit", "For example token"),
    "unit_count": ("How many of it", ""),
}


FIELDS = _FIRST | _MORE


def _field(name: str, label: str, help_text: str) -> forms.Field:
    if name in TEXTS or name == "unit_name":
        return forms.CharField(label=label, help_text=help_text, required=False, max_length=200)
    widget = forms.NumberInput(attrs={"step": "any"})
    return forms.FloatField(label=label, help_text=help_text, required=False, widget=widget)


class EstimateForm(forms.Form):
    """Every field may stay empty. `stated` is the run as the API takes it."""

    def __init__(self, data: QueryDict | None = None) -> None:
        super().__init__(data)
        self.fields.update({name: _field(name, *words) for name, words in FIELDS.items()})

    @property
    def first(self) -> list[forms.BoundField]:
        return [self[name] for name in _FIRST]

    @property
    def more(self) -> list[forms.BoundField]:
        return [self[name] for name in _MORE]

    @property
    def more_stated(self) -> bool:
        return any(self.data.get(name) for name in _MORE) or any(name in self.errors for name in _MORE)

    @property
    def stated(self) -> dict[str, Any]:
        values = {name: value for name, value in self.cleaned_data.items() if value not in (None, "")}
        run = {name: values[name] for name in (*NUMBERS, *TEXTS) if name in values}
        unit = {key: values.get(f"unit_{key}") for key in ("name", "count")}
        return run | ({"functional_unit": unit} if any(v is not None for v in unit.values()) else {})

    def refuse(self, field: str, detail: str) -> None:
        """Put a refusal to the field that it names."""
        name = "unit_name" if field.startswith("functional_unit") else field
        self.add_error(name if name in self.fields else None, detail)
