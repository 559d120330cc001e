"""The package itself: what importing costs, what its values and exceptions are."""

from __future__ import annotations

import pickle
import ssl
import subprocess
import sys
from datetime import UTC, datetime

import pytest
import starttls


def modules_after(code: str) -> set[str]:
    """The modules a fresh interpreter has after this."""
    script = f"{code}\nimport sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-S", "-c", script], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.split())


def path_of_package() -> str:
    return f"import sys; sys.path[:0] = {[p for p in sys.path if p]!r}"


def test_importing_imports_nothing_else() -> None:
    bare = modules_after(path_of_package())
    ours = modules_after(f"{path_of_package()}\nimport starttls") - bare
    assert ours == {"starttls", "__future__"}


def test_using_the_blocking_face_needs_no_heavy_modules() -> None:
    ours = modules_after(f"{path_of_package()}\nimport starttls\nstarttls.SMTP, starttls.FTP, starttls.TLSConfig")
    assert ours.isdisjoint(("asyncio", "dataclasses", "email", "inspect", "logging", "pathlib", "socket", "ssl"))


def test_every_public_name_is_there() -> None:
    for name in starttls.__all__:
        assert getattr(starttls, name).__name__ == name
    assert dir(starttls) == sorted(starttls.__all__)
    with pytest.raises(AttributeError):
        _ = starttls.nothing  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "builtin"),
    [
        ("AccessDenied", PermissionError),
        ("AuthenticationFailed", PermissionError),
        ("CertificateError", ssl.SSLCertVerificationError),
        ("ConnectionLost", ConnectionError),
        ("ConnectionRefused", ConnectionRefusedError),
        ("InvalidArgument", ValueError),
        ("LocalError", OSError),
        ("LocalFileNotFound", FileNotFoundError),
        ("LocalPermissionDenied", PermissionError),
        ("NameUnresolvable", OSError),
        ("OutcomeUnknown", ConnectionError),
        ("RemoteFileNotFound", FileNotFoundError),
        ("RemotePermissionDenied", PermissionError),
        ("TLSError", ssl.SSLError),
        ("TimeoutExceeded", TimeoutError),
        ("Truncated", ssl.SSLError),
        ("Unsupported", NotImplementedError),
        ("UpgradeNotOffered", ssl.SSLError),
    ],
)
def test_exceptions_are_also_what_people_catch(name: str, builtin: type[Exception]) -> None:
    kind = getattr(starttls, name)
    assert issubclass(kind, starttls.Error)
    assert issubclass(kind, builtin)
    reply = starttls.Reply(550, ("5.1.1 no such user",), "5.1.1")
    error = kind("told", phase="command", host="h:25", advice="try", transient=True, reply=reply)
    for it in (error, pickle.loads(pickle.dumps(error))):
        assert type(it) is kind
        assert str(it) == "told"
        assert (it.phase, it.host, it.advice, it.transient) == ("command", "h:25", "try", True)
        assert (it.code, it.enhanced_code, it.text) == (550, "5.1.1", "5.1.1 no such user")


def test_local_errors_name_the_file() -> None:
    error = starttls.LocalFileNotFound("told", errno=2, filename="/a")
    for it in (error, pickle.loads(pickle.dumps(error))):
        assert (it.errno, it.filename, str(it)) == (2, "/a", "told")


def test_values_are_frozen_and_comparable() -> None:
    reply = starttls.Reply(250, ("a", "b"))
    assert reply.text == "a\nb"
    assert reply == starttls.Reply(250, ("a", "b")) != starttls.Reply(251, ("a", "b"))
    assert hash(reply) == hash(pickle.loads(pickle.dumps(reply)))
    with pytest.raises(AttributeError, match="frozen"):
        reply.code = 1
    with pytest.raises(AttributeError):
        reply.other = 1  # type: ignore[attr-defined]
    timeout = starttls.Timeout(connect=1.5)
    assert pickle.loads(pickle.dumps(timeout)) == timeout
    assert (timeout.connect, timeout.finish) == (1.5, None)


def test_entries_keep_names_that_are_no_text() -> None:
    entry = starttls.Entry(b"a\xff", "file", 3, 86400.0)
    assert entry.name.encode("utf-8", "surrogateescape") == b"a\xff"
    assert entry.modified == datetime(1970, 1, 2, tzinfo=UTC)
    assert entry.is_file() and not entry.is_dir()
    assert repr(entry) == "<Entry 'a\\udcff' type=file size=3 modified=1970-01-02T00:00:00+00:00>"
    assert pickle.loads(pickle.dumps(entry)) == entry


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"url": "http://h"}, "none of smtp"),
        ({"url": "ftp://h"}, "begins with smtp://"),
        ({"url": "smtp://h", "password": "x"}, "needs a user"),
        ({"url": "smtp://u@h"}, "no password"),
        ({"url": "smtp://h", "timeout": 0}, "above 0"),
        ({"url": "smtp://h", "timeout": float("nan")}, "above 0"),
        ({"url": "smtp://h", "timeout": starttls.Timeout(reply=-1)}, "above 0"),
        ({"url": "smtp://h", "ehlo_name": "a b"}, "EHLO"),
    ],
)
def test_arguments_are_looked_at_first(arguments: dict[str, object], why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STARTTLS_PASSWORD", raising=False)
    with pytest.raises(starttls.InvalidArgument, match=why):
        starttls.SMTP(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ({"ca_file": "/nowhere/ca.pem"}, FileNotFoundError),
        ({"ca_data": "no certificate"}, ssl.SSLError),
        ({"client_key": b"x"}, ValueError),
        ({"pins": ["sha256//AAAA"]}, ValueError),
        ({"pins": [b"short"]}, ValueError),
        ({"minimum_version": "1.1"}, ValueError),
    ],
)
def test_tls_settings_are_looked_at_first(arguments: dict[str, object], kind: type[Exception]) -> None:
    with pytest.raises(starttls.Error) as caught:
        starttls.TLSConfig(**arguments)  # type: ignore[arg-type]
    assert isinstance(caught.value, kind)


def test_a_session_that_is_not_open_says_so() -> None:
    smtp = starttls.SMTP("smtp://localhost")
    with pytest.raises(starttls.InvalidState, match="not connected"):
        smtp.noop()
    smtp.close()
    assert repr(smtp) == "<SMTP smtp://localhost:587 closed>"
