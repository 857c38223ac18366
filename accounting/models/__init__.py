"""The accounting tables. Fields, constraints, QuerySet filters and properties of their own row; nothing else."""

from accounting.models.access import ApiToken, AuditEntry, Invitation, Membership, OneTimeLogin, User
from accounting.models.fleet import Device, Host, Job, Project, Site, SiteTerms, Team
from accounting.models.ledger import (
    DeviceDay,
    DirtyHour,
    EnergyHour,
    LedgerHour,
    Quantities,
    TeamDay,
    TeamHour,
)
from accounting.models.own_factors import FactorStamp, OwnFactor, SeenCatalogue
from accounting.models.restatements import RestatedDay, RestatedDevice, Restatement
from accounting.models.telemetry import (
    Agent,
    AgentStream,
    DeviceSample,
    FacilitySample,
    JobMark,
    SampleConflict,
)

__all__ = [
    "Agent",
    "AgentStream",
    "ApiToken",
    "AuditEntry",
    "Device",
    "DeviceDay",
    "DeviceSample",
    "DirtyHour",
    "EnergyHour",
    "FacilitySample",
    "FactorStamp",
    "Host",
    "Invitation",
    "Job",
    "JobMark",
    "LedgerHour",
    "Membership",
    "OneTimeLogin",
    "OwnFactor",
    "Project",
    "Quantities",
    "RestatedDay",
    "RestatedDevice",
    "Restatement",
    "SampleConflict",
    "SeenCatalogue",
    "Site",
    "SiteTerms",
    "Team",
    "TeamDay",
    "TeamHour",
    "User",
]  # fmt: skip
