"""Saved models: out of the child's folder, into the data folder, under the experiment they belong to."""

import os
import shutil
import stat
import uuid
from collections.abc import Mapping
from pathlib import Path

COPY_BYTES = 1 << 20


class NotAFile(OSError):
    """The child left a link or something stranger where its model should be: nothing of it is taken."""


def keep(names: Mapping[int, str], *, child_folder: Path, data_dir: Path, experiment_id: uuid.UUID) -> dict[int, str]:
    """Copy each variant's file; position -> path relative to the data folder. An earlier attempt's files are replaced.

    Raises:
        NotAFile: one of the names is no regular file.
        OSError: it is missing, or the disk is full.
    """
    target = data_dir / "artifacts" / str(experiment_id)
    fresh = target.with_name(f"{target.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for name in set(names.values()):
        _copy(child_folder / name, fresh / name)
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)
    return {position: str((target / name).relative_to(data_dir)) for position, name in names.items()}


def _copy(source: Path, target: Path) -> None:
    """The child is not trusted: a link is refused, because it may lead to what the child could not read itself."""
    try:
        number = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise NotAFile(error.errno, f"{source.name} cannot be taken: {error.strerror}") from error
    with os.fdopen(number, "rb") as file, target.open("wb") as copy:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise NotAFile(0, f"{source.name} is not a regular file")
        shutil.copyfileobj(file, copy, COPY_BYTES)
