"""Keyword arguments: said once for each protocol, known to the native module, explained by ``help``, and checked."""

from __future__ import annotations

import inspect
import pydoc
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import starttls
from starttls import _mirror, _native

MAIL = "smtp://ann@mail.example.org"
FILES = "ftp://files.example.org/a"


@pytest.mark.parametrize(
    ("options", "native"),
    [
        (starttls.SMTPOptions, [_native.SmtpSetup]),
        (starttls.AsyncSMTPOptions, [_native.SmtpSetup]),
        (starttls.SMTPPoolOptions, [_native.SmtpSetup, _native.SmtpPool]),
        (starttls.FTPOptions, [_native.FtpSession]),
        (starttls.MirrorOptions, [_mirror.command]),
    ],
)
def test_what_is_told_is_what_is_taken(options: type, native: list[Callable[..., object]]) -> None:
    taken = [it for one in native for it in inspect.signature(one).parameters.values()]
    assert set(options.__annotations__) == {it.name for it in taken if it.kind is it.KEYWORD_ONLY} - {"host"}


@pytest.mark.parametrize(
    ("explained", "options"),
    [
        (starttls.SMTP, starttls.SMTPOptions),
        (starttls.FTP, starttls.FTPOptions),
        (starttls.FTP.mirror, starttls.MirrorOptions),
    ],
)
def test_help_has_them_all(explained: object, options: type) -> None:
    shown = pydoc.plain(pydoc.render_doc(explained))
    assert [name for name in options.__annotations__ if f"``{name}``" not in shown and f"``{name}=" not in shown] == []


def test_the_pool_explains_what_it_adds() -> None:
    added = starttls.SMTPPoolOptions.__annotations__.keys() - starttls.SMTPOptions.__annotations__.keys()
    assert added == {"connections", "idle", "messages"}
    assert all(f"``{name}``" in (starttls.SMTPPool.__doc__ or "") for name in added)


CALLS: dict[str, Callable[..., Any]] = {
    "SMTP": lambda **options: starttls.SMTP(MAIL, **options),
    "AsyncSMTP": lambda **options: starttls.AsyncSMTP(MAIL, **options),
    "SMTPPool": lambda **options: starttls.SMTPPool(MAIL, **options),
    "AsyncSMTPPool": lambda **options: starttls.AsyncSMTPPool(MAIL, **options),
    "FTP": lambda **options: starttls.FTP(FILES, **options),
    "AsyncFTP": lambda **options: starttls.AsyncFTP(FILES, **options),
    "send": lambda **options: starttls.send(MAIL, b"", **options),
    "download": lambda **options: starttls.download(FILES, "a", **options),
    "upload": lambda **options: starttls.upload("a", FILES, **options),
    "doctor": lambda **options: starttls.doctor(FILES, **options),
    "mirror": lambda **options: starttls.mirror(FILES, "a", **options),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_keyword_that_there_is_not(call: str) -> None:
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'tiemout': did you mean 'timeout'\?") as caught:
        CALLS[call](password="x", tiemout=3)
    assert caught.value.__cause__ is None and caught.value.__suppress_context__
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'host': .*local_address, .*password"):
        CALLS[call](password="x", host=None)


def test_the_nearest_is_looked_for_among_all_of_a_function() -> None:
    with pytest.raises(TypeError, match=r"mirror\(\) got an unexpected keyword argument 'exlude': .* 'exclude'\?"):
        starttls.mirror(FILES, "a", exlude=["*.log"])  # type: ignore[call-arg]


def test_a_value_of_another_kind_is_told_by_its_name() -> None:
    with pytest.raises(TypeError, match="chunk_size"):
        starttls.SMTP(MAIL, password="x", chunk_size="many")  # type: ignore[arg-type]


def test_what_a_session_takes_costs_no_import() -> None:
    code = f"import sys; sys.path[:0] = {[it for it in sys.path if it]!r}; import starttls\n"
    code += f"starttls.SMTP({MAIL!r}, password='x', timeout=3); starttls.FTP({FILES!r}, pipelining=False)\n"
    code += "print('typing' in sys.modules)"
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "False\n"
