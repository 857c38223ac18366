"""What people say of a machine and of its devices: where it stands, what making it came to, its life and its rent."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from accounting.factorbook import catalog
from accounting.forms import Moment, currency_or_empty
from accounting.models import Device, Host, Site
from accounting.views.form_groups import Group, ShownGroup, grouped

PARTS = {  # of a server, beside its devices: the keys of accounting.factorbook.making.parts_kg
    "cpus": "CPUs", "cpu_die_mm2": "Die of a CPU, mm²", "ram_gb": "Memory, GB", "ram_modules": "Memory modules",
    "ssd_gb": "Flash, GB", "ssds": "Flash drives", "hdds": "Hard disks", "mainboards": "Mainboards",
    "psu_kg": "Power supplies, kg in all", "chassis": "Cases", "assemblies": "Assemblies",
}  # fmt: skip
HOST_GROUPS = (
    Group("Place", "Its grid, PUE, water and price are those of the site, for all its hours.", ("site",)),
    Group(
        "Making the server",
        "Board, power supplies, case, drives, without the devices that carry it. State one of the two.",
        ("server_embodied_kg", "server_model"),
    ),
    Group(
        "Or its parts",
        "Where neither is known: what it is made of, reckoned part by part.",
        tuple(f"part_{name}" for name in PARTS),
        rare=True,
    ),
)
DEVICE_GROUPS = (
    Group("The device", "Its model finds power and footprint in the catalogue.", ("model", "kind", "units", "tdp_w")),
    Group(
        "Making it",
        "Spread over its service life, from the hour it came into service. Empty: from the catalogue, with its range.",
        ("embodied_kg", "lifetime_h", "acquired_at"),
    ),
    Group(
        "Before and after",
        "A second life, and its end: only what is left of its footprint accrues here.",
        ("served_h_before", "retired_at", "retirement"),
        rare=True,
        usual=("0", "0.0"),
    ),
    Group(
        "Rent",
        "Where it is rented: due for every hour in service, used or not.",
        ("rental_price_per_h", "rental_currency", "rental_includes_electricity"),
        rare=True,
        usual=("True",),
    ),
)


class HostForm(forms.ModelForm):
    """Where a machine stands, and what it is made of beside its devices: kilograms, a typical server, or its parts."""

    site = forms.ModelChoiceField(Site.objects.all(), required=False, empty_label="At no site yet")
    server_model = forms.ChoiceField(
        label="A typical server", required=False, help_text="What the catalogue has of whole machines without GPUs"
    )

    class Meta:
        model = Host
        fields = ("site", "server_embodied_kg", "server_model")
        labels = {"server_embodied_kg": "Its footprint, kg CO₂e"}
        help_texts = {"server_embodied_kg": "Carried by sensors of the whole node, else the GPUs, else all devices"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        known = catalog().keys("embodied_server")
        self.fields["server_model"].choices = [("", "Not stated"), *((key, key.replace("_", " ")) for key in known)]
        for name, label in PARTS.items():
            initial = self.instance.server_parts.get(name)
            self.fields[f"part_{name}"] = forms.FloatField(label=label, required=False, min_value=0.0, initial=initial)

    @property
    def groups(self) -> list[ShownGroup]:
        return grouped(self, HOST_GROUPS)

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        parts = {name: said[f"part_{name}"] for name in PARTS if said.get(f"part_{name}")}
        told = [bool(parts), said.get("server_embodied_kg") is not None, bool(said.get("server_model"))]
        if sum(told) > 1:
            raise ValidationError(
                "Say what the server is made of in one way: kilograms, a typical server, or its parts"
            )
        if parts and not set(parts) - {"cpu_die_mm2", "ram_modules", "ssds"}:
            raise ValidationError("These say how, not how much: add CPUs, GB of memory or GB of flash")
        self.instance.server_parts = parts
        return said

    def clean_site(self) -> Site | None:
        site = self.cleaned_data["site"]
        twin = Host.objects.filter(name=self.instance.name, site=site, team=None).exclude(pk=self.instance.pk)
        if self.instance.team_id is None and twin.exists():
            raise ValidationError(f"{site or 'No site'} already has a host named {self.instance.name}")
        return site


class DeviceForm(forms.ModelForm):
    acquired_at = Moment(label="In service since")
    retired_at = Moment(label="Retired", required=False, help_text="No embodied carbon accrues from here on")
    rental_currency = forms.CharField(
        label="Currency of the rent", required=False, max_length=3, help_text="Three letters; empty: the ledger’s own"
    )

    class Meta:
        model = Device
        fields = (
            "model", "kind", "units", "tdp_w", "embodied_kg", "lifetime_h", "served_h_before", "acquired_at",
            "retired_at", "retirement", "rental_price_per_h", "rental_currency", "rental_includes_electricity",
        )  # fmt: skip
        labels = {
            "units": "How many alike it stands for",
            "tdp_w": "TDP of one, W",
            "embodied_kg": "Embodied carbon of all it stands for, kg CO₂e",
            "lifetime_h": "Service life, hours",
            "served_h_before": "Hours it served before it came here",
            "retirement": "What became of it",
            "rental_price_per_h": "Rent per hour",
            "rental_includes_electricity": "The rent includes electricity",
        }
        help_texts = {
            "units": "More than one where a tool tells only a sum, as CodeCarbon does of all GPUs",
            "lifetime_h": "From new, wherever it served; then its footprint is used up",
            "retirement": "Scrapped early, what is left is written off in its last hour. Not said: scrapped, or "
            "handed back where it is rented.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["served_h_before"].required = False
        self.fields["units"].required = False

    @property
    def groups(self) -> list[ShownGroup]:
        return grouped(self, DEVICE_GROUPS)

    def clean_units(self) -> int:
        return self.cleaned_data["units"] or 1

    def clean_rental_currency(self) -> str:
        return currency_or_empty(self.cleaned_data["rental_currency"])

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        said["served_h_before"] = said.get("served_h_before") or 0.0
        acquired, retired = said.get("acquired_at"), said.get("retired_at")
        if acquired and retired and retired <= acquired:
            raise ValidationError({"retired_at": "A device is retired after it came into service, not before"})
        return said
