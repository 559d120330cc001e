"""What is spoken: cipher suites, groups, the name that is told, and the key log."""

from __future__ import annotations

from pathlib import Path

import pytest
import starttls

from tests.cli import ca
from tests.cli import starttls as cli
from tests.python.faces import Face
from tests.servers.postfix import PostfixServer

CHACHA, AES = "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_256_GCM_SHA384"


def test_suites_and_groups(face: Face, postfix: PostfixServer) -> None:
    for suite, group in ((CHACHA, "secp384r1"), (AES, "x25519")):
        trust = starttls.TLSConfig(ca_file=postfix.ca_file, cipher_suites=[suite], groups=[group])
        with face.smtp(postfix.url, tls=trust) as session:
            assert (session.tls.cipher_suite, session.tls.group) == (suite, group)
        done = cli("probe", postfix.url, "--json", *ca(postfix), "--cipher-suites", suite, "--groups", group)
        assert (done.json["tls"]["cipher_suite"], done.json["tls"]["group"]) == (suite, group)
    stray = starttls.TLSConfig(ca_file=postfix.ca_file, cipher_suites=[CHACHA], maximum_version="1.2")
    with (
        pytest.raises(starttls.TLSError, match="of no TLS version that is allowed") as caught,
        face.smtp(postfix.url, tls=stray),
    ):
        pass
    assert caught.value.kind == "configuration" and "TLS_ECDHE_" in str(caught.value.advice)


@pytest.mark.parametrize("what", ["cipher_suites", "groups"])
def test_names_that_there_are_not(what: str, postfix: PostfixServer) -> None:
    with pytest.raises(starttls.TLSError, match="nonsense") as caught:
        starttls.TLSConfig(**{what: ["nonsense"]})  # type: ignore[arg-type]
    assert (AES if what == "cipher_suites" else "secp256r1") in str(caught.value.advice)
    done = cli("probe", postfix.url, *ca(postfix), f"--{what.replace('_', '-')}", "nonsense")
    assert done.code == 78 and "there are " in done.err


def test_no_name_is_told(face: Face, postfix: PostfixServer) -> None:
    """Postfix has one certificate, and does not mind; the core's tests see what is told."""
    with face.smtp(postfix.url, tls=starttls.TLSConfig(ca_file=postfix.ca_file, sni=False)) as session:
        assert session.tls.name_checked
    assert cli("probe", postfix.url, *ca(postfix), "--no-sni").code == 0


def test_the_key_log(face: Face, postfix: PostfixServer, tmp_path: Path) -> None:
    lines: list[str] = []
    for log in (lines.append, tmp_path / "keys"):
        with face.smtp(postfix.url, tls=starttls.TLSConfig(ca_file=postfix.ca_file, key_log=log)) as session:
            assert session.tls.binding == "tls-exporter"
    assert cli("probe", postfix.url, *ca(postfix), "--key-log", tmp_path / "cli").err.startswith(
        "starttls: WARNING: --key-log"
    )
    for log in (lines, (tmp_path / "keys").read_text().splitlines(), (tmp_path / "cli").read_text().splitlines()):
        labels = {line.split(" ")[0] for line in log}
        assert {"CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_TRAFFIC_SECRET_0"} <= labels
        assert all(len(line.split(" ")) == 3 for line in log)
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o600
    with pytest.raises(starttls.LocalFileNotFound):
        starttls.TLSConfig(key_log=tmp_path / "nowhere" / "keys")


def test_no_variable_logs_keys(postfix: PostfixServer, tmp_path: Path) -> None:
    assert cli("probe", postfix.url, *ca(postfix), env={"SSLKEYLOGFILE": str(tmp_path / "keys")}).code == 0
    assert not (tmp_path / "keys").exists()
