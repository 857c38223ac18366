"""WattTime API v3, /login and /v3/historical: the marginal operating emissions rate, pounds of CO2 per MWh.

Marginal: it says what one more kWh causes, for schedules and for advice. It never enters the accounts.
"""

import base64
from dataclasses import dataclass
from datetime import timedelta

from accounting.factors.providers.base import (
    Ask,
    EmissionBasis,
    Flow,
    HourValue,
    NoKey,
    Part,
    Series,
    Signal,
    WrongSchema,
    field,
    json_object,
    moment,
    number,
    rows_of,
    whole_hours,
)
from accounting.factors.providers.client import Client
from accounting.methods.units import G_PER_LB

BASE = "https://api.watttime.org"
WHO = "WattTime"
SERIES = Series(Signal.MARGINAL, EmissionBasis.DIRECT, Flow.CONSUMPTION)
KWH_PER_MWH = 1000.0


def parse(body: bytes, ask: Ask) -> list[HourValue]:
    """Points of five minutes, as `meta.data_point_period_seconds` says, to hours.

    Raises:
        WrongSchema: also where region, signal or unit is another than was asked for.
    """
    answer = json_object(body, WHO)
    meta = answer.get("meta")
    if not isinstance(meta, dict):
        raise WrongSchema(f"{WHO}: no object under 'meta'")
    for name, wanted in (("region", ask.area), ("signal_type", "co2_moer"), ("units", "lbs_co2_per_mwh")):
        if meta.get(name) != wanted:
            raise WrongSchema(f"{WHO}: meta.{name} is {meta.get(name)!r}, not {wanted!r}")
    span = timedelta(seconds=number(field(meta, "data_point_period_seconds", f"{WHO} meta"), f"{WHO} meta"))
    model = meta.get("model")
    method = f"model {model['date']}" if isinstance(model, dict) and model.get("date") else ""
    parts = []
    for index, row in enumerate(rows_of(answer, "data", WHO)):
        where = f"{WHO} row {index}"
        if field(row, "value", where) is None:
            continue
        g_per_kwh = number(row["value"], where) * G_PER_LB / KWH_PER_MWH
        parts.append(Part(moment(field(row, "point_time", where), where), span, g_per_kwh, False, method))
    return whole_hours(parts, ask, SERIES)


def parse_token(body: bytes) -> str:
    token = json_object(body, f"{WHO} login").get("token")
    if not isinstance(token, str) or not token:
        raise WrongSchema(f"{WHO} login: no token in the answer")
    return token


@dataclass(frozen=True, slots=True)
class WattTime:
    name: str = "watttime"
    title: str = "WattTime"
    key_variable: str = "WATTTIME_CREDENTIALS"  # user:password
    area_help: str = "CAISO_NORTH, …"
    only_basis: EmissionBasis | None = EmissionBasis.DIRECT
    longest: timedelta = timedelta(days=30)
    url: str = "https://docs.watttime.org"

    def usual_area(self, zone: str) -> str:
        return ""

    def fetch(self, ask: Ask, *, key: str, client: Client) -> list[HourValue]:
        if not key:
            raise NoKey(f"{self.title} wants a key: set {self.key_variable} to user:password")
        if ":" not in key:
            raise NoKey(f"{self.key_variable} must be user:password, and holds no colon")
        basic = base64.b64encode(key.encode()).decode()
        token = parse_token(client.get(f"{BASE}/login", headers={"Authorization": f"Basic {basic}"}))
        query = {
            "region": ask.area,
            "signal_type": "co2_moer",
            "start": f"{ask.start:%Y-%m-%dT%H:%MZ}",
            "end": f"{ask.end:%Y-%m-%dT%H:%MZ}",
        }
        return parse(
            client.get(f"{BASE}/v3/historical", query=query, headers={"Authorization": f"Bearer {token}"}), ask
        )
