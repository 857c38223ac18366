"""docs/agent.md names every command, option and sensor that there is, and none that is not."""

import argparse
import re
from pathlib import Path

import pytest

from accounting.agent.cli import _parser
from accounting.agent.sensors.rack import AUTO

DOC = (Path(__file__).parents[3] / "docs" / "agent.md").read_text()


def commands() -> dict[str, argparse.ArgumentParser]:
    (found,) = [action for action in _parser()._actions if isinstance(action, argparse._SubParsersAction)]
    return found.choices


def options(parser: argparse.ArgumentParser) -> set[str]:
    return {word for action in parser._actions for word in action.option_strings if word.startswith("--")} - {"--help"}


class TestDoc:
    def test_names_every_command_and_sensor(self) -> None:
        for word in (*commands(), *AUTO, "replay"):
            assert re.search(rf"^\| `{word}` \|", DOC, re.MULTILINE), word

    def test_its_options_are_those_of_the_program(self) -> None:
        existing = {option for parser in (*commands().values(), _parser()) for option in options(parser)}
        assert set(re.findall(r"^\| `(--[a-z-]+)", DOC, re.MULTILINE)) == existing

    @pytest.mark.parametrize("command", ["run", "status", "doctor", "flush", "job-ended"])
    def test_says_of_each_option_which_commands_have_it(self, command: str) -> None:
        rows = re.findall(r"^\| `(--[a-z-]+)[^|]*\| ([a-z, -]*)\|", DOC, re.MULTILINE)
        said = {
            option for option, of in rows if of.strip() == "all" or command in of.split(", ") or command in of.split()
        }
        assert said - {"--version"} == options(commands()[command])
