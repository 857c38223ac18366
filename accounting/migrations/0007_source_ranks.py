"""CodeCarbon and models make room for the tools that rank before them: 4 -> 8, 5 -> 9."""

from typing import Any

from django.db import migrations

RANKS = {5: 9, 4: 8}
TABLES = ("accounting_devicesample", "accounting_energyhour")


def _move(schema_editor: Any, apps: Any, ranks: dict[int, int]) -> None:
    with schema_editor.connection.cursor() as cursor:
        for table in TABLES:
            for before, after in ranks.items():
                cursor.execute(f"UPDATE {table} SET source = %s WHERE source = %s", [after, before])
    for conflict in apps.get_model("accounting", "SampleConflict").objects.all().iterator():
        if conflict.offered.get("source") in ranks:
            conflict.offered["source"] = ranks[conflict.offered["source"]]
            conflict.save(update_fields=["offered"])


def forwards(apps: Any, schema_editor: Any) -> None:
    _move(schema_editor, apps, RANKS)


def backwards(apps: Any, schema_editor: Any) -> None:
    _move(schema_editor, apps, {after: before for before, after in reversed(RANKS.items())})


class Migration(migrations.Migration):
    dependencies = [("accounting", "0006_sources")]
    operations = [migrations.RunPython(forwards, backwards)]
