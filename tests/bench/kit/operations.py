"""What is measured: the operations, their sizes, and how a figure follows from a run."""

import enum
from collections.abc import Callable
from dataclasses import dataclass

MEBI = 1 << 20
EACH = 10
"""Messages on each of many connections."""
SMALL_FILE = 4096
"""Octets of each small file the server offers."""


@dataclass(frozen=True)
class Sizes:
    """How much work each operation is."""

    small_message: int
    messages: int
    batch: int
    """Messages that are given all at once."""
    distant_batch: int
    """The same over the delayed port."""
    connections: int
    """Open at the same time."""
    large_message: int
    file: int
    """Octets of the file that is downloaded and uploaded; whole mebibytes."""
    files: int
    distant_files: int
    """Files over the delayed port: one after another, and as a tree."""
    entries: int
    seconds: float
    """A repeated step stops after this time, whatever the count."""


FULL = Sizes(2048, 5000, 20_000, 100, 1000, 100 * MEBI, 512 * MEBI, 2000, 400, 10_000, 2.0)
QUICK = Sizes(2048, 200, 1000, 20, 20, 8 * MEBI, 32 * MEBI, 50, 20, 1000, 0.5)


class Unit(enum.Enum):
    """How a figure is expressed."""

    PER_SECOND = "/s"
    MEGABYTES_PER_SECOND = "MB/s"
    MILLISECONDS = "ms"

    @property
    def more_is_better(self) -> bool:
        return self is not Unit.MILLISECONDS


@dataclass(frozen=True)
class Operation:
    """One thing every client does, in its own way."""

    name: str
    """As clients are told it on their command line."""
    title: str
    service: str
    """The server's port, by name."""
    unit: Unit
    argument: Callable[[Sizes], str]
    """What clients are given: a remote name, or a key of the generated data files."""
    count: Callable[[Sizes], int]
    """How often the step is repeated, at most."""
    octets: Callable[[Sizes], int]
    """Content of one step."""
    repeats: int

    @property
    def protocol(self) -> str:
        return self.service.partition("-")[0]

    @property
    def key(self) -> str:
        """The name, told apart from the same over the delayed port."""
        return f"{self.name}{', delayed' * self.is_delayed}"

    @property
    def is_delayed(self) -> bool:
        return self.service.endswith("-delayed")

    def figure(self, seconds: float, count: int, sizes: Sizes) -> float:
        """The figure for ``count`` steps done in ``seconds``."""
        match self.unit:
            case Unit.PER_SECOND:
                return count / seconds
            case Unit.MEGABYTES_PER_SECOND:
                return self.octets(sizes) / seconds / 1e6
            case Unit.MILLISECONDS:
                return seconds * 1e3


def once(_: Sizes) -> int:
    return 1


OPERATIONS = (
    Operation(
        "smtp-messages",
        "small messages one after another on one connection",
        "smtp",
        Unit.PER_SECOND,
        argument=lambda _: "small-message",
        count=lambda sizes: sizes.messages,
        octets=lambda sizes: sizes.small_message,
        repeats=5,
    ),
    Operation(
        "smtp-batch",
        "small messages given all at once, on one connection",
        "smtp",
        Unit.PER_SECOND,
        argument=lambda _: "small-message",
        count=lambda sizes: sizes.batch,
        octets=lambda sizes: sizes.small_message,
        repeats=5,
    ),
    Operation(
        "smtp-batch",
        "a hundred of them over a path with a round trip of 20 ms",
        "smtp-delayed",
        Unit.PER_SECOND,
        argument=lambda _: "small-message",
        count=lambda sizes: sizes.distant_batch,
        octets=lambda sizes: sizes.small_message,
        repeats=3,
    ),
    Operation(
        "smtp-connections",
        f"many connections at the same time, {EACH} small messages on each, from connecting to the answer to QUIT",
        "smtp",
        Unit.PER_SECOND,
        argument=lambda _: "small-message",
        count=lambda sizes: sizes.connections * EACH,
        octets=lambda sizes: sizes.small_message,
        repeats=3,
    ),
    Operation(
        "smtp-large",
        "one large message",
        "smtp",
        Unit.MEGABYTES_PER_SECOND,
        argument=lambda _: "large-message",
        count=once,
        octets=lambda sizes: sizes.large_message,
        repeats=5,
    ),
    Operation(
        "smtp-oneshot",
        "one small message from the program's first statement to the answer to QUIT",
        "smtp",
        Unit.MILLISECONDS,
        argument=lambda _: "small-message",
        count=once,
        octets=lambda sizes: sizes.small_message,
        repeats=10,
    ),
    Operation(
        "smtp-oneshot",
        "the same over a path with a round trip of 20 ms",
        "smtp-delayed",
        Unit.MILLISECONDS,
        argument=lambda _: "small-message",
        count=once,
        octets=lambda sizes: sizes.small_message,
        repeats=5,
    ),
    Operation(
        "ftp-download",
        "one large file down, PROT P",
        "ftp",
        Unit.MEGABYTES_PER_SECOND,
        argument=lambda sizes: f"{sizes.file // MEBI}MiB.bin",
        count=once,
        octets=lambda sizes: sizes.file,
        repeats=5,
    ),
    Operation(
        "ftp-upload",
        "one large file up, PROT P",
        "ftp",
        Unit.MEGABYTES_PER_SECOND,
        argument=lambda _: "upload",
        count=once,
        octets=lambda sizes: sizes.file,
        repeats=5,
    ),
    Operation(
        "ftp-files",
        "files of 4 KiB down, one after another, PROT P",
        "ftp",
        Unit.PER_SECOND,
        argument=lambda _: "small",
        count=lambda sizes: sizes.files,
        octets=lambda _: SMALL_FILE,
        repeats=5,
    ),
    Operation(
        "ftp-files",
        "the same over a path with a round trip of 20 ms",
        "ftp-delayed",
        Unit.PER_SECOND,
        argument=lambda _: "small",
        count=lambda sizes: sizes.distant_files,
        octets=lambda _: SMALL_FILE,
        repeats=3,
    ),
    Operation(
        "ftp-tree",
        "a directory of such files over that path: our mirror with 8 sessions, others file by file",
        "ftp-delayed",
        Unit.PER_SECOND,
        argument=lambda sizes: f"list-{sizes.distant_files}",
        count=lambda sizes: sizes.distant_files,
        octets=lambda _: SMALL_FILE,
        repeats=3,
    ),
    Operation(
        "ftp-list",
        "MLSD of one large directory, PROT P",
        "ftp",
        Unit.MILLISECONDS,
        argument=lambda sizes: f"list-{sizes.entries}",
        count=once,
        octets=once,
        repeats=10,
    ),
)
