"""Trees made equal: what became of each file, and of all."""

from __future__ import annotations

import os

from ._files import remote as remote_path
from ._native import FtpCommand
from ._value import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Literal

    from ._files import LocalPath
    from ._ftp import RemotePath

    Action = Literal["created", "updated", "deleted", "unchanged", "skipped", "failed"]
    Kind = Literal["file", "directory", "symlink", "other"]


class FileReport(Frozen):
    """What became of one file, directory or link."""

    __slots__ = ("raw_path", "type", "action", "size", "reason", "error")  # noqa: RUF023

    raw_path: bytes
    """Where it is below both roots, with slashes, as the names are on the server."""
    type: Kind
    """What it is."""
    action: Action
    """What became of it; in a dry run, what would."""
    size: int | None
    """Bytes transferred now; in a dry run and for what was not transferred, the size, where known."""
    reason: str | None
    """Why it was left out, or could not be done."""
    error: Exception | None
    """What went wrong, where it is more than the reason."""

    def __init__(
        self,
        raw_path: bytes,
        type: Kind,  # noqa: A002 - as in Entry
        action: Action,
        size: int | None = None,
        reason: str | None = None,
        error: Exception | None = None,
    ) -> None:
        self._set(raw_path, type, action, size, reason, error)

    @property
    def path(self) -> str:
        """The path as text, to be used as one again (``surrogateescape``)."""
        return self.raw_path.decode("utf-8", "surrogateescape")

    def _shown(self) -> tuple[str, ...]:
        return ("path", *self.__slots__[1:])


class MirrorReport(Frozen):
    """What a mirror did altogether."""

    __slots__ = (  # noqa: RUF023
        "created",
        "updated",
        "deleted",
        "unchanged",
        "skipped",
        "failed",
        "bytes",
        "sessions",
        "deletions_refused",
        "dry_run",
        "files",
    )

    created: int
    """Files, directories and links that were not there."""
    updated: int
    """Files and links that replaced older ones."""
    deleted: int
    """What the source does not have."""
    unchanged: int
    """Files and links that were as they should be."""
    skipped: int
    """What was left out."""
    failed: int
    """What could not be done."""
    bytes: int
    """Bytes transferred."""
    sessions: int
    """The most sessions at a time."""
    deletions_refused: str | None
    """Why nothing was deleted although there was something to delete."""
    dry_run: bool
    """Whether this only tells what would have been done."""
    files: tuple[FileReport, ...]
    """What became of each file, unless ``on_file`` was told."""

    def __init__(
        self,
        created: int,
        updated: int,
        deleted: int,
        unchanged: int,
        skipped: int,
        failed: int,
        bytes: int,  # noqa: A002 - what they are
        sessions: int,
        deletions_refused: str | None = None,
        dry_run: bool = False,
        files: tuple[FileReport, ...] = (),
    ) -> None:
        counts = (created, updated, deleted, unchanged, skipped, failed, bytes, sessions)
        self._set(*counts, deletions_refused, dry_run, files)

    @property
    def complete(self) -> bool:
        """Whether the destination is now as it should be."""
        return not self.failed and self.deletions_refused is None

    @property
    def failures(self) -> tuple[FileReport, ...]:
        """What could not be done, unless ``on_file`` was told."""
        return tuple(file for file in self.files if file.action == "failed")

    def _shown(self) -> tuple[str, ...]:
        return ("complete", *self.__slots__)


def command(
    remote: RemotePath,
    local: LocalPath,
    upload: bool,
    *,
    include: Iterable[str] = (),
    exclude: Iterable[str] = (),
    rules: Iterable[tuple[Literal["include", "exclude"], str]] = (),
    compare: Literal["size+time", "size", "newer", "hash", "always"] = "size+time",
    symlinks: Literal["skip", "follow", "copy"] = "skip",
    delete: bool = False,
    max_delete: int | None = None,
    dry_run: bool = False,
    parallel: int = 4,
    in_place: bool = False,
    keep_times: bool = True,
    on_file: Callable[[FileReport], object] | None = None,
) -> FtpCommand[MirrorReport]:
    """The command for it, with ordered rules."""
    ordered = [(kind == "include", pattern) for kind, pattern in rules]
    ordered += [(False, pattern) for pattern in exclude]
    ordered += [(True, pattern) for pattern in include]
    return FtpCommand.mirror(
        remote_path(remote),
        os.fspath(local),
        upload=upload,
        rules=ordered,
        compare=compare,
        symlinks=symlinks,
        delete=delete,
        max_delete=max_delete,
        dry_run=dry_run,
        parallel=parallel,
        in_place=in_place,
        keep_times=keep_times,
        on_file=on_file,
    )
