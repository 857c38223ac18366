"""Samples in days on PostgreSQL, and the mark before which raw samples are retired.

A table that has rows is copied by the server in one pass, in one transaction: nothing passes through this process, and
the keys into other tables are made after the rows, so that no check waits in memory for each of them. It takes as much
disk again until it is done. SQLite keeps its table.
"""

import datetime

from django.db import migrations, models

TABLE = "accounting_devicesample"
US_PER_DAY = 86_400_000_000
DAYS_AHEAD = 3
EPOCH = datetime.date(1970, 1, 1)


def keep_all_so_far(apps, schema_editor):
    """The row that batches and retirement wait for each other on."""
    since = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    apps.get_model("accounting", "RawRetention").objects.get_or_create(
        id=1, defaults={"kept_since": since, "sealed_before": since}
    )


def split(apps, schema_editor):
    if schema_editor.connection.vendor != "postgresql":
        return
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {TABLE} IN ACCESS EXCLUSIVE MODE")
        keys = _foreign_keys(cursor)
        cursor.execute(f"ALTER TABLE {TABLE} RENAME TO {TABLE}_whole")
        cursor.execute(f"CREATE TABLE {TABLE} (LIKE {TABLE}_whole INCLUDING DEFAULTS) PARTITION BY RANGE (measured_at_us)")
        cursor.execute(f"SELECT DISTINCT measured_at_us / {US_PER_DAY} FROM {TABLE}_whole")
        today = (datetime.datetime.now(datetime.UTC).date() - EPOCH).days
        for day in sorted({day for (day,) in cursor.fetchall()} | set(range(today, today + DAYS_AHEAD + 1))):
            cursor.execute(
                f"CREATE TABLE {TABLE}_{EPOCH + datetime.timedelta(days=day):%Y%m%d} PARTITION OF {TABLE} "
                f"FOR VALUES FROM ({day * US_PER_DAY}) TO ({(day + 1) * US_PER_DAY})"
            )
        _move(cursor, f"{TABLE}_whole", keys)


def join(apps, schema_editor):
    if schema_editor.connection.vendor != "postgresql":
        return
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {TABLE} IN ACCESS EXCLUSIVE MODE")
        keys = _foreign_keys(cursor)
        cursor.execute(f"ALTER TABLE {TABLE} RENAME TO {TABLE}_days")
        cursor.execute(f"CREATE TABLE {TABLE} (LIKE {TABLE}_days INCLUDING DEFAULTS)")
        _move(cursor, f"{TABLE}_days", keys)


def _foreign_keys(cursor):
    cursor.execute(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'f'",
        [TABLE],
    )
    return cursor.fetchall()


def _move(cursor, before, keys):
    """The rows, then what had to wait for them. Names of indexes are free again once the table before is gone."""
    cursor.execute(f"INSERT INTO {TABLE} SELECT * FROM {before}")
    cursor.execute(f"DROP TABLE {before}")
    cursor.execute(
        f"ALTER TABLE {TABLE} ADD CONSTRAINT {TABLE}_pkey PRIMARY KEY (device_id, measured_at_us, source)"
    )
    for name, definition in keys:
        cursor.execute(f'ALTER TABLE {TABLE} ADD CONSTRAINT "{name}" {definition}')


class Migration(migrations.Migration):
    dependencies = [("accounting", "0008_intake")]

    operations = [
        migrations.CreateModel(
            name="RawRetention",
            fields=[
                ("id", models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
                (
                    "kept_since",
                    models.DateTimeField(
                        help_text="Start of the first UTC day whose raw samples are kept; before it none is taken"
                    ),
                ),
                (
                    "sealed_before",
                    models.DateTimeField(help_text="What rests on samples from before it is sealed: they may go"),
                ),
            ],
            options={
                "constraints": [models.CheckConstraint(condition=models.Q(("id", 1)), name="one_raw_retention")],
            },
        ),
        migrations.RunPython(keep_all_so_far, migrations.RunPython.noop),
        migrations.RunPython(split, join),
    ]
