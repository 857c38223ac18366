"""Fields of a long form in groups: each with a title and one line of help, the rarely used ones folded."""

from collections.abc import Sequence
from dataclasses import dataclass

from django import forms
from django.forms.boundfield import BoundField


@dataclass(frozen=True, slots=True)
class Group:
    """What a form declares: names of its fields, in the order in which they are shown.

    A rare group is folded until one of its fields holds something else than `usual`, or is wrong.
    """

    title: str
    help: str
    names: tuple[str, ...]
    rare: bool = False
    usual: tuple[str, ...] = ()  # values that say no more than an empty field does


@dataclass(frozen=True, slots=True)
class ShownGroup:
    """What partials/form.html shows."""

    title: str
    help: str
    fields: list[BoundField]
    folds: bool
    open: bool


def grouped(form: forms.BaseForm, groups: Sequence[Group]) -> list[ShownGroup]:
    """The groups with the form's own fields; a field that no group names would not be posted.

    Raises:
        KeyError: a group names a field that the form does not have.
        ValueError: a field is in no group.
    """
    missing = {field.name for field in form.visible_fields()} - {name for group in groups for name in group.names}
    if missing:
        raise ValueError(f"{type(form).__name__}: in no group: {', '.join(sorted(missing))}")
    return [
        ShownGroup(
            group.title,
            group.help,
            [form[name] for name in group.names],
            group.rare,
            any(form[name].errors or _speaks(form[name], group.usual) for name in group.names),
        )
        for group in groups
    ]


def _speaks(field: BoundField, usual: Sequence[str]) -> bool:
    value = field.value()
    return value not in (None, "", False) and str(value) not in usual
