"""Finding techniques: folders, without torch."""

import subprocess
import sys
from pathlib import Path

import pytest

from optimizer.techniques import registry


class TestAllTechniques:
    def test_finds_every_folder_with_a_spec(self) -> None:
        root = Path(registry.__file__).parent
        assert set(registry.all_techniques()) == {path.parent.name for path in root.glob("*/spec.py")}

    def test_holds_one_that_trains_and_one_that_does_not(self) -> None:
        kinds = {spec.kind for spec in registry.all_techniques().values()}
        assert kinds == {"inference", "training"}

    def test_loads_no_torch(self) -> None:
        script = (
            "import sys; from optimizer.techniques.registry import all_techniques;"
            "all_techniques(); print('torch' in sys.modules)"
        )
        answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        assert answer.stdout.strip() == "False"


class TestTechnique:
    def test_names_what_there_is_when_asked_for_what_there_is_not(self) -> None:
        with pytest.raises(registry.UnknownTechnique, match=r"no technique 'prune'; there are lora, quantize"):
            registry.technique("prune")
