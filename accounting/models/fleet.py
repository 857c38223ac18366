"""Who owns what, and where it stands: teams, projects, sites, hosts, devices, jobs."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q


class Team(models.Model):
    name = models.CharField(max_length=120, unique=True)
    slug = models.SlugField(max_length=60, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class Project(models.Model):
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="projects")
    name = models.CharField(max_length=120)
    slug = models.SlugField(max_length=60)

    class Meta:
        ordering = ("name",)
        constraints = (models.UniqueConstraint(fields=("team", "slug"), name="project_slug_once_per_team"),)

    def __str__(self) -> str:
        return self.name


class Site(models.Model):
    """A place with one grid connection. What it costs and emits is in `SiteTerms`, dated."""

    name = models.CharField(max_length=120, unique=True)
    slug = models.SlugField(max_length=60, unique=True)
    time_zone = models.CharField(max_length=64, default="UTC", help_text="IANA name, for example Europe/Paris")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class SiteTerms(models.Model):
    """What holds at a site from `valid_from` until the next terms. An empty field falls back to the catalogue."""

    class Allocation(models.TextChoices):
        """What of a held device's embodied carbon its job answers for; the rest stays on the row without a job."""

        TIME = "time", "By time held"
        TIME_AND_USE = "time_and_use", "By time held and share of use"

    class IdlePolicy(models.TextChoices):
        KEPT = "kept", "Nobody: a line of its own"
        EQUAL = "equal", "Its jobs, in equal parts"
        BY_USE = "by_use", "Its jobs, by their use"

    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="terms")
    valid_from = models.DateTimeField(help_text="UTC; hours that start before it keep the earlier terms")
    grid_zone = models.CharField(
        max_length=20, blank=True, help_text="A grid zone or country of the catalogue, for example FR or US-CA"
    )
    cloud_provider = models.CharField(max_length=20, blank=True, help_text="aws, azure or gcp")
    cloud_region = models.CharField(max_length=40, blank=True, help_text="A region of the packaged table")
    emission_basis = models.CharField(
        max_length=10, blank=True, help_text="direct or lifecycle hours; empty: as GREENAI_EMISSION_BASIS says"
    )
    pue = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1.0), MaxValueValidator(10.0)],
        help_text="Facility energy / IT energy, where no telemetry says",
    )
    wue_l_per_kwh = models.FloatField(
        null=True, blank=True, validators=[MinValueValidator(0.0)], help_text="On-site water per kWh of IT energy"
    )
    electricity_price_per_kwh = models.FloatField(null=True, blank=True, validators=[MinValueValidator(0.0)])
    price_currency = models.CharField(max_length=3, blank=True, help_text="Of the price; empty: the ledger's")
    price_zone = models.CharField(
        max_length=40, blank=True, help_text="Market zone whose imported hourly prices hold here, for example DE-LU"
    )
    carbon_price_per_t = models.FloatField(
        null=True, blank=True, validators=[MinValueValidator(0.0)], help_text="Per tonne of operational CO2e; optional"
    )
    carbon_price_currency = models.CharField(max_length=3, blank=True)
    embodied_allocation = models.CharField(max_length=12, choices=Allocation.choices, default=Allocation.TIME)
    idle_policy = models.CharField(
        max_length=10,
        choices=IdlePolicy.choices,
        default=IdlePolicy.KEPT,
        help_text="Who answers for the idle draw of a device that several jobs share",
    )
    market_matching = models.CharField(
        max_length=10, blank=True, help_text="annual or hourly; empty: as the organisation does"
    )
    supplier_g_per_kwh = models.FloatField(
        null=True, blank=True, validators=[MinValueValidator(0.0), MaxValueValidator(2000.0)]
    )
    residual_g_per_kwh = models.FloatField(
        null=True, blank=True, validators=[MinValueValidator(0.0), MaxValueValidator(2000.0)]
    )
    grid_cfe_share = models.FloatField(
        null=True, blank=True, validators=[MinValueValidator(0.0), MaxValueValidator(1.0)]
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("site", "valid_from")
        constraints = (models.UniqueConstraint(fields=("site", "valid_from"), name="one_terms_per_site_and_start"),)

    def __str__(self) -> str:
        return f"{self.site} from {self.valid_from:%Y-%m-%d %H:%M}"


class Host(models.Model):
    """A machine, known by its name within the site or the team whose token first spoke for it."""

    name = models.CharField(max_length=255)
    site = models.ForeignKey(Site, null=True, blank=True, on_delete=models.PROTECT, related_name="hosts")
    team = models.ForeignKey(Team, null=True, blank=True, on_delete=models.PROTECT, related_name="hosts")
    server_embodied_kg = models.FloatField(
        null=True, blank=True, validators=[MinValueValidator(0.0)], help_text="The machine without its own devices"
    )
    server_model = models.CharField(max_length=60, blank=True, help_text="A whole server of the catalogue")
    server_parts = models.JSONField(default=dict, blank=True, help_text="Part -> how much of it, where they are known")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(fields=("name", "site"), condition=Q(team=None), name="host_once_per_site"),
            models.UniqueConstraint(fields=("name", "team"), condition=~Q(team=None), name="host_once_per_team"),
        )

    def __str__(self) -> str:
        return self.name


class Device(models.Model):
    """Something that draws power. Its embodied carbon accrues for every hour in service, with or without samples."""

    class Kind(models.TextChoices):
        CPU = "cpu", "CPU"
        GPU = "gpu", "GPU"
        MEMORY = "memory", "Memory"
        NODE = "node", "Whole node"
        OTHER = "other", "Other"

    class Retirement(models.TextChoices):
        """What became of a device. Not said: scrapped, but a rented one was handed back."""

        SCRAPPED = "scrapped", "Scrapped: what was left of its footprint is written off"
        PASSED_ON = "passed_on", "Passed on: what was left goes with it"

    host = models.ForeignKey(Host, on_delete=models.PROTECT, related_name="devices")
    key = models.CharField(max_length=120, help_text="Unique within its host")
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.OTHER)
    model = models.CharField(max_length=200, blank=True)
    units = models.PositiveSmallIntegerField(
        default=1,
        validators=[MinValueValidator(1)],
        help_text="How many alike it stands for, as a tool tells only sums",
    )
    is_total = models.BooleanField(
        default=False, help_text="All of its host's devices of this kind: counts only where they do not by themselves"
    )
    tdp_w = models.FloatField(null=True, blank=True, validators=[MinValueValidator(0.0)])
    memory_bytes = models.BigIntegerField(null=True, blank=True)
    embodied_kg = models.FloatField(
        null=True, blank=True, validators=[MinValueValidator(0.0)], help_text="Empty: from the catalogue, with range"
    )
    lifetime_h = models.FloatField(
        null=True, blank=True, validators=[MinValueValidator(1.0)], help_text="Service life in hours; empty: catalogue"
    )
    served_h_before = models.FloatField(
        default=0.0, validators=[MinValueValidator(0.0)], help_text="Hours it had served elsewhere before it came here"
    )
    acquired_at = models.DateTimeField(help_text="In service from here; first seen, until someone knows better")
    retired_at = models.DateTimeField(null=True, blank=True)
    retirement = models.CharField(max_length=10, choices=Retirement.choices, blank=True)
    rental_price_per_h = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0.0)],
        help_text="Due for each hour in service",
    )
    rental_currency = models.CharField(max_length=3, blank=True)
    rental_includes_electricity = models.BooleanField(default=True)

    class Meta:
        ordering = ("host", "key")
        constraints = (models.UniqueConstraint(fields=("host", "key"), name="device_once_per_host"),)

    def __str__(self) -> str:
        return f"{self.host}/{self.key}"

    @property
    def kind_in_words(self) -> str:
        """Its kind, and how many it stands for."""
        name = str(self.get_kind_display())
        if self.is_total:
            number = f"{self.units} " if self.units > 1 else ""
            counted = {"cpu": f"All {number}CPUs of the host", "gpu": f"All {number}GPUs of the host"}
            return counted.get(self.kind, {"memory": "All memory of the host"}.get(self.kind, name))
        return f"{self.units} x {name}" if self.units > 1 else name

    @property
    def is_written_off(self) -> bool:
        """Whether nobody else carries what is left of its footprint when it retires."""
        if self.retirement:
            return self.retirement == self.Retirement.SCRAPPED
        return self.rental_price_per_h is None


class Job(models.Model):
    """A piece of work, by the name its scheduler gives it, within the team that owns it."""

    team = models.ForeignKey(Team, null=True, blank=True, on_delete=models.PROTECT, related_name="jobs")
    project = models.ForeignKey(Project, null=True, blank=True, on_delete=models.PROTECT, related_name="jobs")
    key = models.CharField(max_length=200)
    name = models.CharField(max_length=200, blank=True)
    kind = models.CharField(max_length=40, blank=True, help_text="training, inference, experiment, …")
    model = models.CharField(max_length=200, blank=True, help_text="The AI model it trains or serves")
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-started_at", "-id")
        constraints = (
            models.UniqueConstraint(fields=("team", "key"), condition=~Q(team=None), name="job_once_per_team"),
            models.UniqueConstraint(fields=("key",), condition=Q(team=None), name="job_once_without_team"),
        )

    def __str__(self) -> str:
        return self.name or self.key
