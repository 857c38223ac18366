"""What a technique is: data that pages and plans can read without torch, and the contract of the code beside it.

A technique is a folder here with two modules. `spec.py` holds `SPEC`, a `TechniqueSpec`, and imports no torch.
`apply.py` holds the mathematics and exports three functions:

    apply(model, workload, parameters, *, progress) -> nn.Module
        A new model; `model` stays as it was. Kind "inference": the model to serve. Kind "training": the model to train,
        where `requires_grad` says which parameters are trained; the workload's own loop trains it, at the technique's
        parameter `learning_rate` where it has one.
    save(model, path) -> None
        One safetensors file: all that this variant adds to what every variant shares.
    load(path, workload, parameters) -> nn.Module
        The saved model again, ready to serve (or to train), with the same outputs to the last bit.

`progress(fraction, text)` is called with fractions that rise to 1. `workload` is a `training.data.Workload`.
The unchanged model is no technique; its key in plans is "none".
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["inference", "training"]
Setting = bool | int | float | str
Progress = Callable[[float, str], None]


class ParameterError(ValueError):
    """A parameter that the technique does not have, or a value it cannot take."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One setting. The default's type is the type; `choices`, or `minimum` and `maximum`, bound it."""

    name: str
    default: Setting
    help: str
    choices: tuple[Setting, ...] = ()
    minimum: float = -math.inf
    maximum: float = math.inf

    def check(self, value: object) -> Setting:
        """The value in the default's type.

        Raises:
            ParameterError: another type, not among the choices, or out of bounds.
        """
        wanted = type(self.default)
        if wanted is float and type(value) is int:
            value = float(value)
        if type(value) is not wanted:
            raise ParameterError(f"{self.name}: {value!r} is not of type {wanted.__name__}")
        assert isinstance(value, bool | int | float | str)
        if self.choices and value not in self.choices:
            raise ParameterError(f"{self.name}: {value!r} is not one of {', '.join(map(str, self.choices))}")
        if not isinstance(value, bool | str) and not self.minimum <= value <= self.maximum:
            raise ParameterError(f"{self.name}: {value} is outside {self.minimum} to {self.maximum}")
        return value


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A configuration worth trying first, as the Optimize button offers it."""

    label: str
    parameters: Mapping[str, Setting]
    workloads: tuple[str, ...] = ()  # built-in workloads it makes sense for; empty: every one of the technique's kind


@dataclass(frozen=True, slots=True)
class TechniqueSpec:
    """One technique, for people and for plans. `source` is the paper or project it comes from."""

    key: str
    name: str
    summary: str
    kind: Kind
    source: str
    url: str
    parameters: tuple[Parameter, ...]
    suggestions: tuple[Suggestion, ...]

    def variants(self, workload_kind: str, builtin: str = "") -> tuple[Suggestion, ...]:
        """What to try on a workload of this kind (and built-in key); empty when the technique is for the other kind."""
        fitting = (s for s in self.suggestions if not s.workloads or builtin in s.workloads)
        return tuple(fitting) if workload_kind == self.kind else ()

    def complete(self, parameters: Mapping[str, object]) -> dict[str, Setting]:
        """These parameters checked, with defaults for the rest.

        Raises:
            ParameterError: an unknown name, or a value the parameter cannot take.
        """
        known = {parameter.name: parameter for parameter in self.parameters}
        if unknown := sorted(set(parameters) - set(known)):
            raise ParameterError(f"{self.key} has no parameter {unknown[0]!r}; it has {', '.join(known) or 'none'}")
        return {name: p.check(parameters[name]) if name in parameters else p.default for name, p in known.items()}
