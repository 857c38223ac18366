"""`import_runs FILE|- [--kind slurm] (--team SLUG | --site SLUG) [--time-zone Europe/Paris] [--dry-run]`."""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounting.access import audit
from accounting.ingest import imports
from accounting.ingest.formats.imported import MOST_BYTES, ImportedFile, ImportRefused
from accounting.ingest.import_kinds import KINDS, kind_of
from accounting.ledger.imported import ImportKeeper
from accounting.models import Site, Team

_STATED = {
    "gather": "Slurm: what AcctGatherEnergyType measures: node (ipmi, xcc, redfish), rapl or gpu; default node",
    "nodes": "Slurm: whole, where no job shares its nodes",
    "gpus_per_node": "Slurm: a job with that many has the whole node",
    "cpus_per_node": "Slurm: likewise",
    "pue": "CodeCarbon: what its energy holds of cooling, where the file does not say",
    "host": "CodeCarbon: the name of the machine",
    "project": "CodeCarbon: the project of every run",
}


class Command(BaseCommand):
    help = "Import a file of past runs; a file with one wrong line changes nothing"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", help="what the tool wrote, or - for standard input: see docs/operations.md")
        parser.add_argument("--kind", default="", choices=sorted(KINDS), help="else recognised by its first line")
        whose = parser.add_mutually_exclusive_group(required=True)
        whose.add_argument("--team", help="slug of the team whose machines and jobs these are")
        whose.add_argument("--site", help="slug of the site whose shared machines these are")
        parser.add_argument("--time-zone", default="", help="of times without an offset, such as Europe/Paris")
        parser.add_argument(
            "--account",
            action="append",
            default=[],
            metavar="ACCOUNT=TEAM/PROJECT",
            help="Slurm: whose an account's jobs are; may be repeated. Each other account is a project of --team",
        )
        parser.add_argument("--gather", default="", help=_STATED["gather"])
        parser.add_argument("--nodes", default="", help=_STATED["nodes"])
        parser.add_argument("--gpus-per-node", default="", help=_STATED["gpus_per_node"])
        parser.add_argument("--cpus-per-node", default="", help=_STATED["cpus_per_node"])
        parser.add_argument("--pue", default="", help=_STATED["pue"])
        parser.add_argument("--host", default="", help=_STATED["host"])
        parser.add_argument("--project", default="", help=_STATED["project"])
        parser.add_argument("--dry-run", action="store_true", help="read it, and store nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        name: str = options["file"]
        team, site = _whose(Team, options["team"]), _whose(Site, options["site"])
        stated = {key: options[key] for key in _STATED if options[key]}
        stated |= {"time_zone": options["time_zone"]} if options["time_zone"] else {}
        stated |= {"accounts": "\n".join(["project", *options["account"]])} if options["account"] else {}
        try:
            body = _body(name)
            kind = options["kind"] or kind_of(body)
            found = imports.read(kind, body, team=team, stated=stated)
        except (OSError, ImportRefused) as error:
            raise CommandError(f"{name}: {error}") from error
        seen = imports.preview(found, team=team, site=site)
        self._refuse(name, found, seen.faults)
        facts = found.facts
        for note in found.notes:
            self.stdout.write(note)
        self.stdout.write(
            f"{facts.runs} runs from {facts.first} to {facts.last}, {facts.energy_kwh:.6g} kWh; "
            f"of {facts.without_energy} no energy is told; energy of {seen.already} is here already"
        )
        if options["dry_run"]:
            return
        now = timezone.now()
        file_name = Path(name).name if name != "-" else "standard input"
        keeper = ImportKeeper(reason=f"runs of {file_name} were imported", actor="import_runs", now=now)
        brought = imports.take(
            found,
            body,
            kind=kind,
            team=team,
            site=site,
            file_name=file_name,
            stated=stated,
            imported_by=None,
            keeper=keeper,
            now=now,
        )
        came = brought.brought
        told = {key: came.get(key, 0) for key in ("accepted", "duplicates", "conflicts", "rejected")}
        audit(actor="import_runs", action="runs.imported", subject=file_name, kind=kind, **told)
        self.stdout.write(
            f"Import {brought.pk}: {told['accepted']} spans of energy new, {told['duplicates']} here already, "
            f"{told['conflicts']} contradict what is stored, {told['rejected']} refused"
        )
        for message in came.get("messages", []):
            self.stdout.write(f"  {message}")

    def _refuse(self, name: str, found: ImportedFile, faults: tuple[str, ...]) -> None:
        if found.errors:
            told = "\n".join(f"  {error}" for error in found.errors)
            raise CommandError(f"{name}: {found.wrong} wrong lines, nothing was stored\n{told}")
        if faults:
            raise CommandError(f"{name}: {'; '.join(faults)}")
        if not found.facts.runs:
            raise CommandError(f"{name}: it holds no run that ended; nothing was stored. {' '.join(found.notes)}")


def _whose(model: Any, slug: str | None) -> Any:
    """Raises CommandError."""
    if slug is None:
        return None
    row = model.objects.filter(slug=slug).first()
    if row is None:
        known = ", ".join(model.objects.order_by("slug").values_list("slug", flat=True)) or "none"
        raise CommandError(f"there is no {model.__name__.lower()} {slug!r}; there is {known}")
    return row


def _body(name: str) -> bytes:
    if name == "-":
        return sys.stdin.buffer.read(MOST_BYTES + 1)
    with Path(name).open("rb") as opened:
        return opened.read(MOST_BYTES + 1)
