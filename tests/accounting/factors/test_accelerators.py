"""Names find their chip; a name that leaves the variant open says so; another product's name finds nothing."""

import pytest

from accounting.factors import lookup
from accounting.factors.accelerators import Accelerator, accelerators, match_accelerator
from accounting.factors.catalog import load_packaged
from accounting.factors.cpus import cpu_rows, find_cpu
from accounting.methods.records import Status

CATALOG = load_packaged()


class TestMatching:
    @pytest.mark.parametrize(
        ("name", "key"),
        [
            ("NVIDIA H100 80GB HBM3", "nvidia-h100-sxm"),
            ("NVIDIA H100 PCIe", "nvidia-h100-pcie"),
            ("NVIDIA H100 NVL", "nvidia-h100-nvl"),
            ("H100-SXM5-80GB", "nvidia-h100-sxm"),
            ("NVIDIA A100-SXM4-40GB", "nvidia-a100-sxm-40gb"),
            ("NVIDIA A100 80GB PCIe", "nvidia-a100-pcie-80gb"),
            ("A100-PCIE-40GB", "nvidia-a100-pcie-40gb"),
            ("Tesla V100-SXM2-32GB", "nvidia-v100-sxm2-32gb"),
            ("Tesla T4", "nvidia-t4"),
            ("NVIDIA L40S", "nvidia-l40s"),
            ("NVIDIA H200", "nvidia-h200-sxm"),
            ("NVIDIA B300 SXM6 AC", "nvidia-b300"),
            ("NVIDIA GH200 480GB", "nvidia-gh200"),
            ("NVIDIA GeForce RTX 4090", "nvidia-rtx-4090"),
            ("RTX4090", "nvidia-rtx-4090"),
            ("NVIDIA RTX A6000", "nvidia-rtx-a6000"),
            ("NVIDIA RTX 6000 Ada Generation", "nvidia-rtx-6000-ada"),
            ("AMD Instinct MI300X OAM", "amd-mi300x"),
            ("Gaudi3", "intel-gaudi3"),
            ("HL-225H", "intel-gaudi2"),
            ("TPU v5 lite", "google-tpu-v5e"),
            ("TPUv4", "google-tpu-v4"),
            ("AWS Trainium2", "aws-trainium2"),
            ("Apple M2 Ultra", "apple-m2-ultra"),
        ],
    )
    def test_finds_the_product_as_drivers_and_people_write_it(self, name: str, key: str) -> None:
        match = match_accelerator(name)
        assert match is not None and match.key == key and match.family == ()

    @pytest.mark.parametrize(
        "name",
        [
            "",
            "NVIDIA RTX A1000",
            "NVIDIA GeForce RTX 2080 SUPER",
            "NVIDIA GeForce RTX 3080 Laptop GPU",
            "Apple M4 Ultra",
            "NVIDIA RTX PRO 6000 Blackwell",
            "Intel(R) Xeon(R) Platinum 8480C",
            "p4d.24xlarge",
        ],
    )
    def test_finds_nothing_rather_than_another_product(self, name: str) -> None:
        assert match_accelerator(name) is None
        assert lookup.accelerator_tdp(CATALOG, name) is None

    @pytest.mark.parametrize("accelerator", accelerators(), ids=lambda a: a.key)
    def test_every_alias_means_its_own_product_and_has_a_power(self, accelerator: Accelerator) -> None:
        for alias in accelerator.aliases:
            match = match_accelerator(alias.removeprefix("~"))
            assert match is not None and match.key == accelerator.key
        tdp = CATALOG.get("accelerator_tdp", accelerator.key)
        assert tdp.unit == "W" and 10 <= tdp.value.low <= tdp.value.mid <= 1500

    def test_covers_the_accelerators_people_train_on(self) -> None:
        assert len(CATALOG.keys("accelerator_tdp")) >= 60 and len(CATALOG.keys("accelerator_memory")) >= 60
        assert set(CATALOG.keys("accelerator_tdp")) == {a.key for a in accelerators()}


class TestLookup:
    def test_gives_the_makers_figures(self) -> None:
        name = "NVIDIA H100 80GB HBM3"
        tdp, memory = lookup.accelerator_tdp(CATALOG, name), lookup.accelerator_memory(CATALOG, name)
        bandwidth, speed = lookup.accelerator_bandwidth(CATALOG, name), lookup.accelerator_fp16(CATALOG, name)
        assert tdp and memory and bandwidth and speed
        assert (tdp.value.mid, memory.value.mid, bandwidth.value.mid) == (700, 80, 3350)
        assert speed.value.mid == pytest.approx(989.4) and tdp.status is Status.MODELLED

    def test_an_open_variant_takes_the_commonest_with_the_range_of_all(self) -> None:
        tdp = lookup.accelerator_tdp(CATALOG, "H100")
        assert tdp is not None and tdp.id == "tdp:nvidia-h100-sxm:2025@unknown-variant:h100"
        assert tdp.value.mid == 700 and tdp.value.low <= 350 and tdp.value.high >= 700
        assert tdp.status is Status.DEFAULT


class TestCpus:
    @pytest.mark.parametrize(
        ("name", "watts"),
        [
            ("AMD EPYC 7742 64-Core Processor", 225.0),
            ("AMD EPYC 9654", 360.0),
            ("Intel(R) Xeon(R) Platinum 8480+", 350.0),
        ],
    )
    def test_are_found_by_the_name_the_system_gives(self, name: str, watts: float) -> None:
        tdp = lookup.cpu_tdp(name)
        assert tdp is not None and tdp.value.mid == watts and tdp.licence == "MIT"
        assert tdp.value.low < watts < tdp.value.high

    def test_that_are_unknown_are_not_guessed(self) -> None:
        assert lookup.cpu_tdp("Intel(R) Xeon(R) Processor @ 2.50GHz") is None

    def test_carry_their_provenance_in_every_row(self) -> None:
        rows = list(cpu_rows().values())
        assert len(rows) > 4000 and len({row.factor.id for row in rows}) == len(rows)
        assert all(row.note and row.page and row.factor.url.startswith("https://") for row in rows)
        assert find_cpu("AMD EPYC 7742") is cpu_rows()["amd epyc 7742"]
