"""What the corpus asks of a mail session, and its results, in the corpus' words."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any

import starttls


def settings(words: Iterable[str]) -> dict[str, Any]:
    """The words behind ``settings:`` as arguments of a session."""
    found: dict[str, Any] = {}
    for word in words:
        match word.partition("="):
            case ("no-pipelining", _, _):
                found["pipelining"] = False
            case ("no-chunking", _, _):
                found["chunking"] = False
            case ("chunk-size", _, size):
                found["chunk_size"] = int(size)
            case _:
                raise AssertionError(f"unknown setting {word}")
    return found


def options(words: Iterable[str], recipients: list[str]) -> starttls.SendOptions | None:
    """The words behind a message."""
    asked: dict[str, Any] = {}

    def of(value: str) -> tuple[list[str], str]:
        only, _, rest = value.rpartition(">")
        return ([only] if only else recipients), rest

    for word in words:
        name, _, value = word.partition("=")
        match name:
            case "notify" | "orcpt":
                people, rest = of(value)
                field = "notify" if name == "notify" else "original_recipients"
                asked.setdefault(field, {}).update(dict.fromkeys(people, rest))
            case "rcpt-param":
                people, rest = of(value)
                keyword, _, value = rest.partition("=")
                for one in people:
                    asked.setdefault("recipient_parameters", {}).setdefault(one, {})[keyword] = value or None
            case "param":
                keyword, _, value = value.partition("=")
                asked.setdefault("parameters", {})[keyword] = value or None
            case "by":
                seconds, _, mode = value.partition(";")
                late: Any = "notify" if mode.startswith("N") else "return"
                asked["deliver_by"] = starttls.DeliverBy(int(seconds), late=late, trace=mode.endswith("T"))
            case "priority":
                asked["priority"] = int(value)
            case "hold":
                asked["hold"] = datetime.timedelta(seconds=int(value))
            case "hold-until":
                asked["hold"] = datetime.datetime.fromtimestamp(int(value), datetime.UTC)
            case "requiretls":
                asked["require_tls"] = True
            case _:
                field = {
                    "ret": "dsn_return",
                    "envid": "envelope_id",
                    "policy": "recipient_policy",
                    "ends": "line_ends",
                    "not-offered": "not_offered",
                }.get(name, name)
                asked[field] = value
    return starttls.SendOptions(**asked) if asked else None


def delivery(report: starttls.DeliveryReport) -> str | starttls.Error:
    """What became of a message; the exception, if it was not sent."""
    if report.outcome == "unknown":
        assert report.error is not None
        return f"unknown {type(report.error).__name__}"
    if report.outcome == "not-sent":
        assert isinstance(report.error, starttls.Error)
        return report.error
    words: list[str] = [report.outcome]
    if report.queue_id is not None:
        words.append(f"id={report.queue_id}")
    words.extend(f"{recipient}={reply.code}" for recipient, reply in report.refused.items())
    return " ".join(words)


def send_many(session: Any, arguments: list[str], texts: list[bytes]) -> list[str | starttls.Error]:
    """The results of several messages: sender, recipients with commas between, and content of each."""
    letters = [(texts[at + 2], arguments[at], arguments[at + 1].split(",")) for at in range(0, len(arguments), 3)]
    reports: list[starttls.DeliveryReport] = []

    async def collect() -> None:
        async for report in session.session.send_many(letters):
            reports.append(report)

    try:
        if hasattr(session, "run"):
            session.run(collect())
        else:
            for report in session.send_many(letters):
                reports.append(report)
    except starttls.Error:
        # The session was lost: every message has its report all the same.
        assert len(reports) == len(letters)
    return [delivery(report) for report in reports]


def answer(reply: starttls.Reply) -> str:
    """A reply's code, and how many lines it has."""
    return f"{reply.code} {len(reply.lines)}"
