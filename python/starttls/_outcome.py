"""What becomes an exception of a report's outcome."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._results import DeliveryReport


def judged(report: DeliveryReport) -> DeliveryReport:
    """The report, if anybody gets the message."""
    if report.outcome in ("accepted", "partial"):
        return report
    from ._errors import MessageRefused, OutcomeUnknown

    reply = report.reply
    error: MessageRefused | OutcomeUnknown
    if report.outcome == "refused":
        why = f': the server said "{reply}"' if reply else ""
        transient = reply is not None and reply.code < 500
        advice = getattr(report.error, "advice", None)
        text = f"the message was refused (data){why}" + (f"; {advice}" if advice else "")
        error = MessageRefused(text, phase="data", reply=reply, advice=advice, transient=transient)
    else:
        error = OutcomeUnknown(
            f"it is not known whether the message was accepted: {report.error}",
            phase="data",
            host=getattr(report.error, "host", None),
            advice="ask the server before sending it again",
        )
    error.report = report
    raise error from report.error
