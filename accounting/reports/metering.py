"""Does anyone meter this machine already? Asked by programs that would else do it themselves.

A machine is known by the kernel's name for its boot, which an agent's `boot_id` begins with and which a container
shares with its host; else by its host name. Under one owner a name is one machine. Under other owners it may be a
namesake: a different boot proves that it is, and where nothing proves it, it counts as the same, because energy that is
missing is shown and energy that is there twice is not.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from django.db.models import Q

from accounting.models import Agent, ApiToken, Device, Host

HEARD_WITHIN = timedelta(minutes=6)  # an agent may post every five
PASSING_HEARD_WITHIN = timedelta(minutes=1)  # these post every five seconds while they meter
BOOT_LENGTH = 36  # of a kernel's boot id, a UUID


@dataclass(frozen=True, slots=True)
class Metering:
    """`here`: an agent posts for this machine under the asker's owner. `elsewhere`: someone does under another."""

    metered: Literal["here", "elsewhere", "no"]
    host: str  # as the asker's owner knows this machine
    lasting: bool = False  # by an agent, and not for a while only
    devices: list[Device] = field(default_factory=list)  # known there


def who_meters(token: ApiToken, *, host: str, boot: str, now: datetime) -> Metering:
    """Two queries. `boot` may be empty: the name alone decides then."""
    same = Q(host__name=host) | (Q(boot_id__startswith=f"{boot}-") if boot else Q())
    passing = Q(key__in=Agent.PASSING_KEYS)
    lately = (~passing & Q(last_seen_at__gt=now - HEARD_WITHIN)) | Q(last_seen_at__gt=now - PASSING_HEARD_WITHIN)
    heard = Agent.objects.filter(same, lately).select_related("host").order_by("pk")
    agents = sorted(heard, key=lambda agent: not _same_boot(agent, boot))
    mine = [agent for agent in agents if _speaks_for(token, agent.host)]
    lasting = [agent for agent in mine if agent.key not in Agent.PASSING_KEYS]
    if lasting:
        return Metering("here", lasting[0].host.name, True, list(lasting[0].host.devices.order_by("key")))
    others = [agent for agent in agents if agent not in mine and not _proves_a_namesake(agent, boot)]
    if others:
        return Metering("elsewhere", host, any(agent.key not in Agent.PASSING_KEYS for agent in others))
    return Metering("no", host)


def _same_boot(agent: Agent, boot: str) -> bool:
    return bool(boot) and agent.boot_id.startswith(f"{boot}-")


def _proves_a_namesake(agent: Agent, boot: str) -> bool:
    """Both tell a kernel's boot, and not the same one."""
    theirs, dash = agent.boot_id[:BOOT_LENGTH], agent.boot_id[BOOT_LENGTH : BOOT_LENGTH + 1]
    return len(boot) == BOOT_LENGTH and dash == "-" and theirs.count("-") == 4 and theirs != boot


def _speaks_for(token: ApiToken, host: Host) -> bool:
    if token.team_id is not None:
        return host.team_id == token.team_id
    return host.team_id is None and host.site_id == token.site_id
