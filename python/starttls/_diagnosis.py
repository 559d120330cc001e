"""What an examination of a server gives: frozen values, like other results."""

from __future__ import annotations

from ._value import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from ._results import Reply, TLSInfo


class Finding(Frozen):
    """One thing that an examination of a server looked at. Texts are for people and may change."""

    __slots__ = ("topic", "state", "seen", "cause", "remedy")  # noqa: RUF023 - the constructor's order

    topic: str
    """What was looked at, such as ``session-reuse``."""
    state: Literal["good", "notice", "problem"]
    """``notice`` is worth knowing: this client copes, others may not. ``problem``: something will fail, or cannot be
    trusted."""
    seen: str
    """What was seen."""
    cause: str | None
    """Why it is so, as far as it can be told."""
    remedy: str | None
    """What would help, and whom it is for."""

    def __init__(
        self,
        topic: str,
        state: Literal["good", "notice", "problem"],
        seen: str,
        cause: str | None = None,
        remedy: str | None = None,
    ) -> None:
        self._set(topic, state, seen, cause, remedy)

    def __str__(self) -> str:
        told = [f"{self.topic}: {self.state}: {self.seen}"]
        told += [f"because {self.cause}"] if self.cause else []
        told += [f"remedy: {self.remedy}"] if self.remedy else []
        return "; ".join(told)


class Diagnosis(Frozen):
    """What an examination of a server found."""

    __slots__ = ("findings", "greeting", "tls", "error")  # noqa: RUF023 - the constructor's order

    findings: tuple[Finding, ...]
    """In the order in which it was looked at; no topic twice."""
    greeting: Reply | None
    """The server's greeting."""
    tls: TLSInfo | None
    """What TLS agreed on; also where the certificate is not trusted, which ``error`` says then."""
    error: Exception | None
    """Why the examination could not go further: the error of a session as it was configured."""

    def __init__(
        self,
        findings: tuple[Finding, ...],
        greeting: Reply | None = None,
        tls: TLSInfo | None = None,
        error: Exception | None = None,
    ) -> None:
        self._set(findings, greeting, tls, error)

    @property
    def state(self) -> Literal["good", "notice", "problem"]:
        """The worst of the findings."""
        states = {finding.state for finding in self.findings}
        return "problem" if "problem" in states else "notice" if "notice" in states else "good"

    def about(self, topic: str) -> Finding | None:
        """What was found about a topic, if it was looked at."""
        return next((finding for finding in self.findings if finding.topic == topic), None)

    def _shown(self) -> tuple[str, ...]:
        return ("state", *self.__slots__)

    def __str__(self) -> str:
        return "\n".join(map(str, self.findings))
