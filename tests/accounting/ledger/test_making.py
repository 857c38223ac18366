"""The carbon of making through the real ledger: whole lives, second lives, scrapping, share of use, servers."""

from datetime import datetime, timedelta

import pytest
from django.db.models import Sum

from accounting.factorbook import catalog
from accounting.factorbook.making import makings
from accounting.ledger.rebuild import mark_in_service, rebuild_dirty, rebuild_everything
from accounting.models import Device, DeviceDay, DeviceUse, DirtyHour, Host, Job, LedgerHour, SiteTerms, TeamHour
from tests.accounting.ledger.rows import EIGHT, HOUR, NOON, a_device, a_site, hold, ledger, post

pytestmark = pytest.mark.django_db

LATER = EIGHT + 30 * HOUR


def built(now: datetime = LATER) -> None:
    mark_in_service(now=now)
    rebuild_dirty(now=now)


def grams(**where: object) -> float:
    return LedgerHour.objects.filter(**where).aggregate(g=Sum("embodied_g"))["g"] or 0.0


def kg_of(device: Device) -> float:
    device = Device.objects.select_related("host").get(pk=device.pk)
    return makings([device], catalog())[device.pk].embodied_kg.range.mid


class TestAWholeLife:
    def test_comes_to_the_footprint_and_then_stops(self) -> None:
        # 100 kg over 10.5 h from 08:20: 40 minutes, nine hours, 50 minutes, and nothing after 18:50
        a_device(embodied_kg=100.0, lifetime_h=10.5, acquired_at=EIGHT + timedelta(minutes=20))
        built()
        assert grams() == pytest.approx(100_000.0)
        assert grams(hour=EIGHT + 10 * HOUR) == pytest.approx(100_000.0 / 10.5 * 50 / 60)
        assert grams(hour__gte=EIGHT + 11 * HOUR) == 0.0

    def test_a_second_life_takes_what_is_left(self) -> None:
        a_device(embodied_kg=100.0, lifetime_h=40.0, served_h_before=30.0)
        built()
        assert grams() == pytest.approx(25_000.0)

    def test_what_is_left_of_a_scrapped_device_is_written_off_in_its_last_hour_on_nobodys_row(self) -> None:
        # 100 kg over 40 h, scrapped after 10 h at 18:00 sharp: 2.5 kg an hour, and 75 kg in the hour from 17:00
        machine = a_device(embodied_kg=100.0, lifetime_h=40.0, retired_at=EIGHT + 10 * HOUR)
        hold(Job.objects.create(key="train"), machine, EIGHT, EIGHT + 10 * HOUR)
        built()
        assert grams() == pytest.approx(100_000.0)
        last = LedgerHour.objects.get(hour=EIGHT + 9 * HOUR, job=None)
        assert last.embodied_g == pytest.approx(75_000.0) == last.idle_embodied_g
        assert f"device:{machine.pk}:written-off" in last.factor_ids
        assert grams(job__key="train") == pytest.approx(25_000.0)

    @pytest.mark.parametrize(
        "fields", [{"retirement": "passed_on"}, {"rental_price_per_h": 1.0}], ids=["passed on", "rented"]
    )
    def test_what_is_left_of_a_device_that_goes_on_elsewhere_goes_with_it(self, fields: dict[str, object]) -> None:
        a_device(embodied_kg=100.0, lifetime_h=40.0, retired_at=EIGHT + 10 * HOUR, **fields)
        built()
        assert grams() == pytest.approx(25_000.0)

    def test_nothing_is_written_off_before_the_time_has_come(self) -> None:
        machine = a_device(embodied_kg=100.0, lifetime_h=40.0, retired_at=EIGHT + 4.5 * HOUR)
        for now, expected in ((NOON, 10_000.0), (NOON + HOUR / 4, 10_625.0), (NOON + HOUR, 100_000.0)):
            mark_in_service(now=now)
            rebuild_dirty(now=now)
            assert grams(device=machine) == pytest.approx(expected)

    def test_a_rebuild_of_everything_gives_the_same_to_the_last_digit(self) -> None:
        machine = a_device(embodied_kg=100.0, lifetime_h=40.0, retired_at=EIGHT + 10.3 * HOUR)
        hold(Job.objects.create(key="train"), machine, EIGHT, EIGHT + 3 * HOUR)
        built()
        before = ledger()
        rebuild_everything(now=LATER)
        assert ledger() == before


class TestShareOfUse:
    def used(self, shares: dict[int, float | None]) -> Device:
        """A device of 1000 g an hour that a job holds from 08:00 to 08:30; utilization by second."""
        site = a_site(embodied_allocation=SiteTerms.Allocation.TIME_AND_USE)
        machine = a_device(site=site, embodied_kg=40.0, lifetime_h=40.0)
        hold(Job.objects.create(key="train"), machine, EIGHT, EIGHT + HOUR / 2)
        for sample, used in zip(post(machine, list(shares), 100.0), shares.values(), strict=True):
            sample.utilization = used
            sample.save(update_fields=["utilization"])
        rebuild_dirty(now=NOON)
        return machine

    def test_a_job_answers_for_time_held_times_use(self) -> None:
        # 500 g held by the job x 0.4 used = 200 g; the rest of the hour's 1000 g is nobody's
        self.used(dict.fromkeys(range(0, 3601, 60), 0.4))
        assert grams(job__key="train", hour=EIGHT) == pytest.approx(200.0)
        assert grams(job=None, hour=EIGHT) == pytest.approx(800.0)
        row = LedgerHour.objects.get(job__key="train", hour=EIGHT)
        assert "allocation:time-and-use" in row.factor_ids and row.idle_embodied_g == 0.0

    def test_the_idle_part_stands_in_the_roll_ups(self) -> None:
        self.used(dict.fromkeys(range(0, 3601, 60), 0.4))
        for table in (TeamHour, DeviceDay):
            assert table.objects.aggregate(g=Sum("idle_embodied_g"))["g"] == pytest.approx(grams(job=None))

    def test_without_a_reading_of_the_use_it_goes_by_time_and_says_so(self) -> None:
        self.used(dict.fromkeys(range(0, 3601, 60), None))
        row = LedgerHour.objects.get(job__key="train", hour=EIGHT)
        assert row.embodied_g == pytest.approx(500.0) and "allocation:time@no-utilization" in row.factor_ids

    def test_a_job_that_holds_the_whole_hour_leaves_what_it_does_not_use_to_nobody(self) -> None:
        site = a_site(embodied_allocation=SiteTerms.Allocation.TIME_AND_USE)
        machine = a_device(site=site, embodied_kg=40.0, lifetime_h=40.0)
        hold(Job.objects.create(key="train"), machine, EIGHT, EIGHT + HOUR)
        for sample in post(machine, range(0, 3601, 60), 100.0):
            sample.utilization = 0.25
            sample.save(update_fields=["utilization"])
        rebuild_dirty(now=NOON)
        assert (grams(job__key="train"), grams(job=None, hour=EIGHT)) == pytest.approx((250.0, 750.0))


class TestSharedDevices:
    def test_what_two_jobs_used_together_is_theirs_by_their_own_use(self) -> None:
        # 1000 g an hour, both hold it all the time: 80 % used, three quarters by one: 600 and 200 g, 200 g nobody's
        site = a_site(embodied_allocation=SiteTerms.Allocation.TIME_AND_USE)
        machine = a_device(site=site, embodied_kg=40.0, lifetime_h=40.0)
        jobs = [Job.objects.create(key=key) for key in ("much", "little")]
        for job in jobs:
            hold(job, machine, EIGHT, EIGHT + HOUR)
        for sample in post(machine, range(0, 3601, 60), 100.0):
            sample.utilization = 0.8
            sample.save(update_fields=["utilization"])
            for job, used in zip(jobs, (0.6, 0.2), strict=True):
                DeviceUse.objects.create(
                    device=machine, measured_at_us=sample.measured_at_us, job=job, utilization=used, received_at_us=0
                )
        rebuild_dirty(now=NOON)
        got = [grams(job__key=key, hour=EIGHT) for key in ("much", "little")]
        assert (*got, grams(job=None, hour=EIGHT)) == pytest.approx((600.0, 200.0, 200.0))


class TestWhatADeviceIsMadeOf:
    def test_a_known_product_goes_before_its_parts_and_parts_before_the_kind(self) -> None:
        # L4: 294 mm2 x 0.0176 + 24 GB x 0.853 + 37.7 + 72 W x 0.0411 + 15 = 5.1744 + 20.472 + 37.7 + 2.9592 + 15
        card, small, odd = (a_device(model, model=model) for model in ("NVIDIA H100 80GB HBM3", "NVIDIA L4", "Card X"))
        assert (kg_of(card), kg_of(small), kg_of(odd)) == pytest.approx((164.0, 81.3056, 150.0))

    def test_a_stated_server_is_carried_by_its_gpus_in_equal_parts(self) -> None:
        gpus = [a_device(f"gpu-{n}", embodied_kg=150.0) for n in range(4)]
        cpu = a_device("cpu-0", kind="cpu", embodied_kg=20.0)
        Host.objects.update(server_embodied_kg=1000.0)
        assert [kg_of(gpu) for gpu in gpus] == pytest.approx([400.0] * 4) and kg_of(cpu) == pytest.approx(20.0)

    def test_a_sensor_of_the_whole_node_carries_the_server_and_counts_no_part_twice(self) -> None:
        node = a_device("node", kind="node")
        gpu, cpu = a_device("gpu-0", embodied_kg=150.0), a_device("cpu-0", kind="cpu", embodied_kg=20.0)
        Host.objects.update(server_embodied_kg=1000.0)
        assert (kg_of(node), kg_of(gpu), kg_of(cpu)) == pytest.approx((1000.0, 150.0, 20.0))

    def test_a_typical_server_holds_its_cpus_and_memory(self) -> None:
        gpu = a_device("gpu-0", embodied_kg=150.0)
        cpu, memory = a_device("cpu-0", kind="cpu"), a_device("dram", kind="memory", memory_bytes=64 << 30)
        Host.objects.update(server_model="gpu_server_8x_without_gpus")
        assert (kg_of(gpu), kg_of(cpu), kg_of(memory)) == pytest.approx((5850.0, 0.0, 0.0))

    def test_a_sheet_of_parts_is_added_up(self) -> None:
        # board 66.1 + 6 kg x 24.3 = 145.8 + case 150 + assembly 6.68 + memory 8 x 5.22 + 512 x 1.23 = 671.52: 1040.1
        gpu, memory = a_device("gpu-0", embodied_kg=150.0), a_device("dram", kind="memory", memory_bytes=512 << 30)
        parts = {"mainboards": 1, "psu_kg": 6.0, "chassis": 1, "assemblies": 1, "ram_gb": 512.0, "ram_modules": 8}
        Host.objects.update(server_parts=parts)
        assert (kg_of(gpu), kg_of(memory)) == pytest.approx((150.0 + 1040.1, 0.0))

    def test_a_node_alone_is_a_whole_machine_and_beside_its_parts_a_typical_server_without_them(self) -> None:
        node = a_device("node", kind="node")
        assert kg_of(node) == pytest.approx(1000.0)
        a_device("gpu-0")
        assert kg_of(node) == pytest.approx(5700.0)

    def test_what_is_stated_of_a_node_is_its_server(self) -> None:
        node, gpu = a_device("node", kind="node", embodied_kg=900.0), a_device("gpu-0", embodied_kg=150.0)
        Host.objects.update(server_embodied_kg=1000.0)
        assert (kg_of(node), kg_of(gpu)) == pytest.approx((900.0, 150.0))

    def test_the_life_of_all_devices_comes_to_the_devices_and_the_server(self) -> None:
        for n in range(3):
            a_device(f"gpu-{n}", embodied_kg=150.0, lifetime_h=20.0, acquired_at=EIGHT + n * HOUR)
        Host.objects.update(server_embodied_kg=1000.0)
        built()
        assert grams() == pytest.approx((3 * 150.0 + 1000.0) * 1000.0)

    def test_no_hour_is_left_to_mark_after_all(self) -> None:
        a_device(embodied_kg=100.0, lifetime_h=5.0, retired_at=EIGHT + 10 * HOUR)
        built()
        mark_in_service(now=LATER)
        assert not DirtyHour.objects.exists()
