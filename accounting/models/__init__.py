"""The accounting tables. Fields, constraints, QuerySet filters and properties of their own row; nothing else."""

from accounting.models.access import ApiToken, AuditEntry, Invitation, Membership, OneTimeLogin, User
from accounting.models.codecarbon import CodeCarbonEmission, CodeCarbonExperiment, CodeCarbonRun
from accounting.models.factors import GridFeed, GridHour
from accounting.models.fleet import Device, Host, Job, Project, Site, SiteTerms, Team
from accounting.models.intake import IntakeDevice, IntakeHour
from accounting.models.ledger import (
    DeviceDay,
    DirtyHour,
    EnergyHour,
    LedgerHour,
    LedgerPulse,
    Quantities,
    TeamDay,
    TeamHour,
)
from accounting.models.market import ContractHour, EnergyContract, InstrumentUse, Matching, StaleMatch
from accounting.models.own_factors import FactorStamp, OwnFactor, SeenCatalogue
from accounting.models.prices import ExchangeRate, PriceHour, Tariff, TariffBand
from accounting.models.restatements import RestatedDay, RestatedDevice, Restatement
from accounting.models.sources import FileImport, HeldFile, LabelRule, UnreadMetric
from accounting.models.telemetry import (
    Agent,
    AgentStream,
    DeviceSample,
    DeviceUse,
    EnergySpan,
    FacilitySample,
    JobMark,
    RawRetention,
    SampleConflict,
)
from accounting.models.vendor import VendorFootprint, VendorReport

__all__ = [
    "Agent", "AgentStream", "ApiToken", "AuditEntry", "CodeCarbonEmission", "CodeCarbonExperiment", "CodeCarbonRun",
    "ContractHour", "Device", "DeviceDay", "DeviceSample",
    "DeviceUse", "DirtyHour", "EnergyContract", "EnergyHour", "EnergySpan", "ExchangeRate", "FacilitySample",
    "FactorStamp", "FileImport", "GridFeed", "GridHour", "HeldFile", "Host", "InstrumentUse", "IntakeDevice",
    "IntakeHour", "Invitation", "Job", "JobMark", "LabelRule", "LedgerHour", "LedgerPulse", "Matching", "Membership",
    "OneTimeLogin", "OwnFactor", "PriceHour", "Project", "Quantities", "RawRetention", "RestatedDay",
    "RestatedDevice", "Restatement", "SampleConflict", "SeenCatalogue", "Site", "SiteTerms", "StaleMatch", "Tariff",
    "TariffBand", "Team", "TeamDay", "TeamHour", "UnreadMetric", "User", "VendorFootprint", "VendorReport",
]  # fmt: skip
