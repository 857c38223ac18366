"""What administrators state of a site: its place, building, prices, contracts and rules, from a moment on."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from accounting.factorbook.books import catalog_for
from accounting.factorbook.choices import region_choices, zone_choices
from accounting.factors.places import cloud_regions
from accounting.forms import Moment, currency_or_empty
from accounting.models import Matching, SiteTerms
from accounting.views.form_groups import Group, ShownGroup, grouped

STATED = ("pue", "wue_l_per_kwh", "electricity_price_per_kwh", "carbon_price_per_t")
MARKET = ("supplier_g_per_kwh", "residual_g_per_kwh", "grid_cfe_share")
GROUPS = (
    Group(
        "Place",
        "Where it draws its electricity. Nobody guesses it: without a zone, carbon and water are world averages.",
        ("grid_zone", "cloud", "valid_from", "emission_basis"),
    ),
    Group(
        "Building",
        "Where no telemetry of the building says. Empty: a typical value, marked DEFAULT.",
        ("pue", "wue_l_per_kwh"),
    ),
    Group(
        "Money",
        "Price at the meter; an imported hour or a tariff goes before it. Empty: a typical price of the place.",
        (
            "electricity_price_per_kwh", "price_currency", "price_zone", "carbon_price_per_t",
            "carbon_price_currency",
        ),
        rare=True,
    ),
    Group(
        "Market-based",
        "How contracts are matched, and what counts for energy that none covers. Moves the market-based figure alone.",
        ("market_matching", "supplier_g_per_kwh", "residual_g_per_kwh", "grid_cfe_share"),
        rare=True,
    ),
    Group(
        "Shared hardware",
        "Who answers for what nobody used of a device, and how its making is shared out.",
        ("idle_policy", "embodied_allocation"),
        rare=True,
        usual=(SiteTerms.IdlePolicy.KEPT, SiteTerms.Allocation.TIME),
    ),
)  # fmt: skip


class SiteTermsForm(forms.ModelForm):
    """The terms from a moment on. Saved over the terms of that very moment, where there are any."""

    valid_from = Moment(label="Holds since", help_text="Earlier hours keep the terms before these")
    grid_zone = forms.ChoiceField(
        label="Grid zone",
        required=False,
        help_text="Open the list and type the first letters",
    )

    cloud = forms.ChoiceField(
        label="Cloud region",
        required=False,
        help_text="Its grid, PUE and water stand in for what is not stated",
    )
    emission_basis = forms.ChoiceField(
        label="Hourly intensities",
        required=False,
        choices=[("", "As the organisation"), ("lifecycle", "Life cycle"), ("direct", "Direct emissions")],
        help_text="Which of a provider’s hours count; never mixed",
    )
    market_matching = forms.ChoiceField(
        label="Contracts are matched",
        required=False,
        choices=[("", "As the organisation does"), *Matching.choices],
        help_text="A change within a day holds from the next UTC day on",
    )

    class Meta:
        model = SiteTerms
        fields = (
            "grid_zone", "valid_from", "cloud", "emission_basis", "pue", "wue_l_per_kwh", "electricity_price_per_kwh",
            "price_currency", "price_zone", "carbon_price_per_t", "carbon_price_currency", "embodied_allocation",
            "idle_policy", "market_matching", *MARKET,
        )  # fmt: skip
        labels = {
            "pue": "PUE",
            "wue_l_per_kwh": "WUE, L/kWh of IT energy",
            "electricity_price_per_kwh": "Electricity price per kWh",
            "price_currency": "Currency of the price",
            "price_zone": "Market zone of hourly prices",
            "carbon_price_per_t": "Carbon price per tonne CO₂e",
            "carbon_price_currency": "Currency of the carbon price",
            "embodied_allocation": "Embodied carbon goes to jobs",
            "idle_policy": "Idle draw of shared devices",
            "supplier_g_per_kwh": "Supplier’s factor, g/kWh",
            "residual_g_per_kwh": "Residual mix, g/kWh",
            "grid_cfe_share": "Carbon-free share of the grid, 0 to 1",
        }
        help_texts = {
            "pue": "Facility energy / IT energy",
            "wue_l_per_kwh": "Water evaporated on site",
            "price_currency": "Three letters; empty: the ledger’s own",
            "price_zone": "As the imported file calls it, for example DE-LU",
            "carbon_price_per_t": "A tax, an allowance or your own shadow price",
            "carbon_price_currency": "Three letters; empty: the ledger’s own",
            "embodied_allocation": "By use: what a job holds and does not use stays without a job",
            "idle_policy": "Where several jobs hold a device at once; a job alone always does",
            "supplier_g_per_kwh": "For what no contract covers, matched within the year",
            "residual_g_per_kwh": "For what nothing covers. Empty: as published",
            "grid_cfe_share": "For the 24/7 score. Empty: contracts alone count",
        }

    def __init__(self, *args: Any, now: datetime, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._now = now
        self.fields["grid_zone"].choices = [("", "Not stated"), *zone_choices(catalog_for(at=now))]
        self.fields["cloud"].choices = [("", "None"), *region_choices()]
        if self.instance.cloud_region:
            self.initial["cloud"] = f"{self.instance.cloud_provider}:{self.instance.cloud_region}"
        self.fields["embodied_allocation"].required = False
        for name in (*STATED, *MARKET):
            self.fields[name].widget.attrs["step"] = "any"
        self.fields["idle_policy"].required = False

    @property
    def groups(self) -> list[ShownGroup]:
        return grouped(self, GROUPS)

    def clean_idle_policy(self) -> str:
        return self.cleaned_data["idle_policy"] or SiteTerms.IdlePolicy.KEPT

    def clean_price_currency(self) -> str:
        return currency_or_empty(self.cleaned_data["price_currency"])

    def clean_carbon_price_currency(self) -> str:
        return currency_or_empty(self.cleaned_data["carbon_price_currency"])

    def clean_embodied_allocation(self) -> str:
        """By time where a caller does not speak of it."""
        return self.cleaned_data["embodied_allocation"] or SiteTerms.Allocation.TIME

    def clean_valid_from(self) -> datetime:
        moment = self.cleaned_data["valid_from"].astimezone(UTC)
        if moment > self._now + timedelta(days=366):
            raise ValidationError(f"{moment:%Y-%m-%d} is more than a year ahead: state terms when they are known")
        return moment

    def clean(self) -> dict[str, Any]:
        """`cloud` becomes the two columns of the row."""
        said = super().clean() or {}
        provider, _, region = said.pop("cloud", "").partition(":")
        stated, drawn = said.get("grid_zone", ""), cloud_regions()[provider, region].zone if region else ""
        if stated and drawn and stated.partition("-")[0] != drawn.partition("-")[0]:
            self.add_error(
                "cloud", f"{region} draws from {drawn}, and the zone is stated as {stated}: drop one of them"
            )
        return said | {"cloud_provider": provider, "cloud_region": region}
