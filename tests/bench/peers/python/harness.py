"""What the Python programs share: the task they are given, timing, and the line they print.

Command line: ``CLIENT OPERATION PORT CA_FILE ARGUMENT COUNT SECONDS``. Import this module before the client
under measurement: the time of a one-shot run counts from here, its imports included.
"""

import time

STARTED = time.perf_counter()

import sys  # noqa: E402
from collections.abc import Callable  # noqa: E402
from io import BufferedReader  # noqa: E402

HOST = "localhost"
SENDER = "a@example.com"
RECIPIENT = "b@example.com"
USER, PASSWORD = "user", "password"
BLOCK = 1 << 16
BULK = ("smtp-large", "ftp-download", "ftp-upload")
"""What memory is watched at."""
EACH = 10
"""Messages on each of many connections."""


class Task:
    """What one run has to do."""

    def __init__(self, words: list[str]) -> None:
        self.client, self.operation, port, self.ca_file, self.argument, count, seconds = words
        self.port = int(port)
        self.count = int(count)
        self._resident = 0
        self._seconds = float(seconds)

    def message(self) -> bytes:
        """The message to send."""
        with self.file() as file:
            return file.read()

    def file(self) -> BufferedReader:
        """The file to send or upload."""
        return open(self.argument, "rb")  # noqa: PTH123 - pathlib takes time to import

    def begin(self) -> float:
        """The time at which the measured part begins."""
        self._resident = resident("VmRSS") if self.operation in BULK else 0
        return time.perf_counter()

    def goes_on(self, done: int, start: float) -> bool:
        """Whether another of the task's repeated steps is due."""
        return done < self.count and time.perf_counter() - start < self._seconds

    def report(self, start: float, count: int) -> None:
        """Print the time since ``start`` and how often the step was done."""
        self.report_seconds(time.perf_counter() - start, count)

    def report_seconds(self, seconds: float, count: int) -> None:
        """Print the measured part; of a one-shot run, all since the program began."""
        if self.operation == "smtp-oneshot":
            seconds = time.perf_counter() - STARTED
        growth = f',"growth":{resident("VmHWM") - self._resident}' if self._resident else ""
        print(f'{{"seconds":{seconds},"count":{count}{growth}}}')


def resident(field: str) -> int:
    """Octets of this process's memory: VmRSS now, VmHWM at its peak; 0 where the system does not say."""
    try:
        with open("/proc/self/status") as status:  # noqa: PTH123
            return next(int(line.split()[1]) << 10 for line in status if line.startswith(field))
    except OSError:
        return 0


def main(clients: dict[str, Callable[[Task], None]]) -> None:
    """Run the client the command line names."""
    task = Task(sys.argv[1:])
    clients[task.client](task)
