"""Between the ledger's hours (datetimes) and the samples' instants (integer microseconds since 1970)."""

from datetime import UTC, datetime, timedelta

from accounting.methods.units import US_PER_HOUR

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def to_us(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def hour_of(moment: datetime) -> datetime:
    """The start of the UTC hour that holds the moment."""
    return hour_at(to_us(moment))


def hour_at(at_us: int) -> datetime:
    """The start of the UTC hour that holds the instant."""
    return EPOCH + (at_us // US_PER_HOUR) * HOUR
