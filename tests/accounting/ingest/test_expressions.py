"""Which regular expressions a label rule may hold."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounting.ingest.expressions import fault_of
from accounting.ingest.naming import LONGEST_VALUE


class TestFaultOf:
    @pytest.mark.parametrize(
        "expression",
        [
            "ml-vision",
            ".+",
            "ml-.*",
            r"(?P<app>.+)-[0-9a-f]{8,10}-[a-z0-9]{5}",
            "(?:web|api)-.*",
            "train(-[0-9]+)?",
            r"(?P<team>[a-z]+)-.*",
            "[a-z]{1,63}",
            "(?:-[a-z0-9]{5}){2}",
        ],
    )
    def test_finds_none_in_what_people_write(self, expression: str) -> None:
        assert fault_of(expression) is None

    @pytest.mark.parametrize(
        ("expression", "says"),
        [
            ("", "empty"),
            ("(", "not a regular expression"),
            ("a" * 201, "200 at most"),
            ("(a+)+", "repetition within"),
            ("(a|a)*", "within one"),
            ("(?:a|ab)*b", "within one"),
            ("(.*)*x", "repetition within"),
            ("(a?){30}a{30}", "repetition within"),
            (".*.*.*x", "at most twice"),
            ("a?" * 40, "too many ways"),
            (r"(a)\1", "back-references"),
            ("(?=a)a", "look-around"),
            ("[[a]", "not clear"),
            ("(?P<1>a)", "not a regular expression"),
        ],
    )
    def test_names_what_is_wrong(self, expression: str, says: str) -> None:
        fault = fault_of(expression)
        assert fault is not None
        assert says in fault

    @given(st.text(alphabet="ab.*+?(){}|[]\\12,-^$<>:P=", max_size=30))
    def test_of_what_is_taken_none_takes_long_and_of_the_rest_none_is_an_error(self, expression: str) -> None:
        if fault_of(expression) is not None:
            return
        hostile = [char * (LONGEST_VALUE - 1) + "!" for char in "ab"] + ["ab" * (LONGEST_VALUE // 2 - 1) + "!"]
        begun = time.process_time()
        for value in hostile:
            re.compile(expression).fullmatch(value)
        assert time.process_time() - begun < 0.5
