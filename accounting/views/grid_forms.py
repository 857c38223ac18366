"""What administrators may say of feeds, and the files they bring."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from accounting.factorbook import catalog
from accounting.factorbook.choices import zone_choices
from accounting.factors.providers import csv_file
from accounting.factors.providers.entsoe import is_eic
from accounting.factors.providers.registry import providers
from accounting.ledger.gridfeed import may_hold_key
from accounting.models import GridFeed


class FeedForm(forms.ModelForm):
    provider = forms.ChoiceField()
    zone = forms.ChoiceField(label="Zone", help_text="As sites state it: its hours are stored under this name")

    class Meta:
        model = GridFeed
        fields = ("provider", "zone", "area", "emission_basis", "key_variable")
        labels = {"area": "The provider's name for it", "key_variable": "Variable with the key"}
        help_texts = {
            "emission_basis": "Asked of a provider that has both",
            "key_variable": "Empty: the provider's usual one. The key itself stays in the environment.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        known = providers(catalog())
        self.fields["provider"].choices = [(name, provider.title) for name, provider in known.items()]
        self.fields["zone"].choices = [("", "Choose"), *zone_choices(catalog())]
        hints = (f"{provider.title}: {provider.area_help}" for provider in known.values())
        self.fields["area"].required = False
        self.fields["area"].help_text = f"Empty: the usual one, where there is one. {'; '.join(hints)}"

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        provider = providers(catalog()).get(said.get("provider", ""))
        if provider is None:
            return said
        said["emission_basis"] = provider.only_basis or said.get("emission_basis")
        said["area"] = said.get("area", "").strip() or provider.usual_area(said.get("zone", ""))
        if not said["area"]:
            self.add_error("area", f"{provider.title} calls its places otherwise: {provider.area_help}")
        elif provider.name == "entsoe" and not is_eic(said["area"]):
            self.add_error(
                "area", f"{said['area']} is no EIC code: sixteen characters, the last of which checks the rest"
            )
        said["key_variable"] = said.get("key_variable", "").strip() or provider.key_variable
        if provider.key_variable and not may_hold_key(provider, said["key_variable"]):
            own = provider.key_variable
            raise ValidationError(
                {"key_variable": f"{provider.title} is given {own} or a name such as {own}_LYON only"}
            )
        if not provider.key_variable:
            said["key_variable"] = ""
        return said


class HoursForm(forms.Form):
    file = forms.FileField(label="CSV file", help_text="One line an hour: datetime,zone,value")

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file.size > csv_file.MOST_BYTES:
            raise ValidationError(
                f"{file.size} bytes: more than {csv_file.MOST_BYTES // 1_000_000} MB; split it by year"
            )
        return file
