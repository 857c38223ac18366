"""What CodeCarbon's posts mean: their time, their devices, their machine."""

import pytest

from accounting.ingest.formats.codecarbon import Machine, Post, drawn, machine_of, stretch, together

S = 1_000_000


def post(at_s: float, duration_s: float, kwh: float = 1.0, **more) -> Post:
    return Post(round(at_s * S), duration_s, kwh, kwh / 2, 0.0, kwh / 2, **more)


class TestStretch:
    def test_begins_its_duration_before_the_first_post(self) -> None:
        assert stretch(post(10, 4), None).started_us == 6 * S

    @pytest.mark.parametrize("gap_s", [0.001, 1.0, 1.999, 3.999])
    def test_begins_at_the_post_before_where_its_duration_may_have_been_cut(self, gap_s: float) -> None:
        found = stretch(post(10 + gap_s, 1), post(10, 4))
        assert (found.started_us, found.hole_from_us) == (10 * S, None)

    def test_leaves_a_hole_where_more_time_went_by(self) -> None:
        # 1 s told, and up to one more cut off, and two the client may have waited for an answer: 4 s are too much
        found = stretch(post(14, 1), post(10, 4))
        assert (found.started_us, found.hole_from_us) == (13 * S, 10 * S)

    def test_of_totals_holds_what_was_added(self) -> None:
        found = stretch(post(20, 9.5, 3.0, total=True), post(14, 4.25, 1.0, total=True))
        assert (found.post.energy_kwh, found.post.duration_s) == (2.0, 5.25)

    def test_of_a_total_that_starts_anew_is_all_of_it(self) -> None:
        assert stretch(post(20, 3, 1.0, total=True), post(14, 4, 5.0, total=True)).post.energy_kwh == 1.0

    def test_cannot_follow_a_later_post(self) -> None:
        with pytest.raises(ValueError, match="cannot follow"):
            stretch(post(10, 1), post(10, 2))


class TestPostsOfOneInstant:
    def test_add_up_but_for_totals(self) -> None:
        assert together([post(1, 1, 2.0), post(1, 1, 3.0)]).energy_kwh == 5.0
        assert together([post(1, 1, 2.0, total=True), post(1, 2, 3.0, total=True)]).energy_kwh == 3.0


class TestDrawn:
    def test_takes_the_pue_out_of_every_part_and_keeps_the_sum(self) -> None:
        told = Post(0, 1, 2.4, 0.6, 1.2, 0.5)  # 0.1 kWh that no part holds
        parts = drawn(told, Machine("Xeon", 64, "8 x NVIDIA H100", 512.0), pue=1.2)
        assert [p.device.device for p in parts] == [
            "codecarbon-cpu", "codecarbon-memory", "codecarbon-gpu", "codecarbon-other",
        ]  # fmt: skip
        assert sum(p.energy_j for p in parts) == pytest.approx(2.4 / 1.2 * 3.6e6, rel=1e-12)
        assert [p.status for p in parts] == ["modelled", "modelled", "measured", "modelled"]
        assert parts[2].device.units == 8

    def test_gives_a_process_devices_of_its_own_but_for_whole_gpus(self) -> None:
        parts = drawn(Post(0, 1, 1.0, 0.4, 0.3, 0.3), Machine(gpu_model="1 x T4"), pue=1.0, process="ab12")
        assert [p.device.device for p in parts] == ["codecarbon-cpu-ab12", "codecarbon-memory-ab12", "codecarbon-gpu"]

    @pytest.mark.parametrize(
        ("told", "units", "model"),
        [("", 1, ""), ("Apple M2", 1, "Apple M2"), ("4 x A1002 x T4", 6, "4 x A1002 x T4"), ("2 x T4", 2, "T4")],
    )
    def test_reads_how_many_gpus_there_are(self, told: str, units: int, model: str) -> None:
        info = drawn(Post(0, 1, 1.0, 0.0, 1.0, 0.0), Machine(gpu_model=told, gpu_count=units), pue=1.0)[2].device
        assert (info.units, info.model) == (units, model)


class TestAMachine:
    def test_has_one_name_for_one_shape(self) -> None:
        said = {"cpu_model": "Xeon", "cpu_count": 64, "gpu_model": "8 x H100", "ram_total_size": 511.7}
        name = machine_of(said).host_name
        assert name.startswith("codecarbon-64cpu-512gb-8gpu-")
        assert machine_of({k: str(v) for k, v in said.items()}).host_name == name  # as a file writes it
        assert machine_of(said | {"cpu_count": "64.0"}).host_name == name
        assert machine_of(said | {"cpu_count": 32}).host_name != name

    @pytest.mark.parametrize("odd", [None, "", "many", float("nan"), -1, 1e300])
    def test_leaves_out_what_is_no_number(self, odd: object) -> None:
        assert machine_of({"cpu_count": odd, "ram_total_size": odd}) == Machine()
