"""Sessions that connections leave for the next ones, in a store that one can look into."""

from __future__ import annotations

import datetime
import ssl
from typing import Any

import pytest
import starttls

from tests.python.faces import Face
from tests.servers.peers import Peer
from tests.servers.postfix import PostfixServer


def trusting(server: Any, sessions: starttls.SessionStore, **more: Any) -> starttls.TLSConfig:
    return starttls.TLSConfig(ca_file=server.ca_file, sessions=sessions, **more)


def heard(face: Face, server: Peer, config: starttls.TLSConfig) -> starttls.TLSInfo:
    """What a connection agreed on that heard itself backwards: what comes before the answer has come, then."""
    with face.connection("localhost", server.port, tls=config, security="implicit") as connection:
        connection.write(b"drawer\n")
        assert connection.read_line() == b"reward"
        info: starttls.TLSInfo = connection.tls
        return info


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_the_next_connection_resumes(face: Face, servers: Any, version: Any) -> None:
    server = servers.peer("openssl", version)
    store = starttls.SessionStore()
    config = trusting(server, store)
    assert (len(store), store.servers(), bool(store)) == (0, [], True)
    before = datetime.datetime.now(datetime.UTC)
    assert [heard(face, server, config).resumed for _ in range(3)] == [False, True, True]
    [known] = store.servers()
    assert (known.host, known.port, known.server_name, known.resumed) == ("localhost", server.port, "localhost", 2)
    assert len(known.sessions) == len(store) > 0
    for session in known.sessions:
        assert session.version == f"TLSv{version}"
        assert session.cipher_suite == heard(face, server, config).cipher_suite
        assert before <= session.received <= datetime.datetime.now(datetime.UTC)
        assert session.to_dict()["received"] == session.received.isoformat()
    assert repr(store) == f"<SessionStore, {len(store)} sessions with 1 servers>"
    had = len(store)
    assert (store.remove("elsewhere"), store.remove("localhost"), len(store)) == (0, had, 0)
    assert not heard(face, server, config).resumed
    store.clear()
    assert not heard(face, server, config).resumed


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_nothing_is_resumed_without_it_or_by_another(face: Face, servers: Any, version: Any) -> None:
    server = servers.peer("openssl", version)
    without = starttls.TLSConfig(ca_file=server.ca_file)
    assert [heard(face, server, without).resumed for _ in range(2)] == [False, False]
    store = starttls.SessionStore()
    lenient = starttls.TLSConfig(danger_accept_any_certificate=True, sessions=store)
    assert [heard(face, server, lenient).resumed for _ in range(2)] == [False, True]
    assert not heard(face, server, trusting(server, store)).resumed
    with pytest.raises(starttls.CertificateError) as caught:
        heard(face, server, trusting(server, store, pins=[b"\7" * 32]))
    assert caught.value.kind == "pin-mismatch"


def test_with_mail(face: Face, postfix: PostfixServer) -> None:
    store = starttls.SessionStore(capacity=1)
    config = trusting(postfix, store)
    agreed = []
    for _ in range(2):
        with face.smtp(postfix.url, tls=config) as session:
            agreed.append((session.tls.resumed, session.tls.verified_by))
    assert agreed == [(False, "authorities"), (True, "authorities")]
    # Of STARTTLS and of the port where TLS is first, each has its own; there is room for one.
    with face.smtp(postfix.implicit_url, tls=config) as session:
        assert not session.tls.resumed
    assert len(store.servers()) == 1


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("daemon", ["vsftpd", "proftpd"])
def test_data_connections_resume_their_own_session(face: Face, servers: Any, daemon: str, version: Any) -> None:
    """These servers refuse what does not resume the control connection's own."""
    server = servers.ftp(daemon, version)
    store = starttls.SessionStore()
    config = trusting(server, store)
    resumed = []
    for i in range(2):
        with (
            face.ftp(server.url, tls=config, session_binding="require") as one,
            face.ftp(server.url, tls=config, session_binding="require") as other,
        ):
            resumed.append(one.tls.resumed)
            for ftp in (one, other, one, other):
                assert ftp.upload(b"content", f"{i}.bin").tls_resumed
    # Each control connection of ProFTPD is a process of its own, which knows no session of another one.
    assert resumed == [False, daemon == "vsftpd"]
    assert (store.servers()[0].resumed, len(store) > 0) >= ((1, True) if daemon == "vsftpd" else (0, False))


def test_a_context_has_its_own(face: Face, servers: Any) -> None:
    """There is nothing to give a store to: what an `ssl.SSLContext` resumes is FTP's data connections."""
    server = servers.peer("openssl", "1.3")
    context = ssl.create_default_context(cafile=server.ca_file)
    with face.connection("localhost", server.port, tls=context, security="implicit") as connection:
        assert not connection.tls.resumed
    with pytest.raises(starttls.InvalidArgument, match="one server at least"):
        starttls.SessionStore(0)
    with pytest.raises(TypeError):
        starttls.TLSConfig(sessions=context)  # type: ignore[arg-type]
