"""What a technique says of itself, and what it refuses."""

import pytest

from optimizer.techniques.base import Parameter, ParameterError, Suggestion, TechniqueSpec

SPEC = TechniqueSpec(
    key="shrink",
    name="Shrink",
    summary="Makes it smaller.",
    kind="inference",
    source="nobody",
    url="https://example.org",
    parameters=(
        Parameter("mode", "a", "which way", choices=("a", "b")),
        Parameter("rank", 8, "how much", minimum=1, maximum=64),
        Parameter("rate", 0.5, "how fast", minimum=0.0, maximum=1.0),
        Parameter("deep", False, "all the way"),
    ),
    suggestions=(Suggestion("Plain", {"mode": "a"}), Suggestion("Text only", {"mode": "b"}, ("texts",))),
)


class TestComplete:
    def test_fills_in_the_defaults(self) -> None:
        assert SPEC.complete({"rank": 2}) == {"mode": "a", "rank": 2, "rate": 0.5, "deep": False}

    def test_takes_a_whole_number_where_a_float_is_wanted(self) -> None:
        rate = SPEC.complete({"rate": 1})["rate"]
        assert rate == 1.0 and type(rate) is float

    @pytest.mark.parametrize(
        ("given", "complaint"),
        [
            ({"rnak": 2}, "no parameter 'rnak'"),
            ({"mode": "c"}, "'c' is not one of a, b"),
            ({"rank": 65}, "65 is outside 1 to 64"),
            ({"rank": True}, "True is not of type int"),
            ({"rank": "8"}, "'8' is not of type int"),
            ({"rate": float("nan")}, "nan is outside"),
            ({"deep": 1}, "1 is not of type bool"),
            ({"deep": None}, "None is not of type bool"),
        ],
    )
    def test_refuses_what_a_parameter_cannot_take_and_names_it(self, given: dict[str, object], complaint: str) -> None:
        with pytest.raises(ParameterError, match=complaint):
            SPEC.complete(given)


class TestVariants:
    def test_suggests_nothing_for_the_other_kind(self) -> None:
        assert SPEC.variants("training", "texts") == ()

    def test_suggests_what_fits_the_workload(self) -> None:
        assert [s.label for s in SPEC.variants("inference", "texts")] == ["Plain", "Text only"]
        assert [s.label for s in SPEC.variants("inference", "digits")] == ["Plain"]
