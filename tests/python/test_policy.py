"""Whom a session believes when records and policies say so (DANE, MTA-STS), on both faces and from the command line."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import starttls
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.cli import ca
from tests.cli import starttls as cli
from tests.python.faces import Face
from tests.servers import postfix as postfix_daemon
from tests.servers.ftp import FTPServer
from tests.servers.pki import DAY, PKI, Authority, Identity
from tests.servers.postfix import PostfixServer

MESSAGE = b"From: ann@example.test\r\nTo: bob@example.test\r\nSubject: hello\r\n\r\nHello.\r\n"
FROM, TO = ("--from", "ann@example.test"), ("--to", "bob@example.test")

Server = Callable[[str], PostfixServer]


@pytest.fixture(scope="module")
def identities(pki: PKI, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Identity]:
    """Servers' certificates; those below an authority that nobody gave come with it."""
    folder = tmp_path_factory.mktemp("dane")
    below = Authority(folder, "an authority in the DNS", issuer=Authority(folder, "nobody's root"))
    return {
        "good": pki.server,
        "expired": pki.expired,
        "wrong name": pki.wrong_name,
        "chain": below.issue("chain"),
        "expired chain": below.issue("expired-chain", starts=-3 * DAY, ends=-DAY),
        "wrong name chain": below.issue("wrong-name-chain", names=("elsewhere.example",)),
    }


@pytest.fixture(scope="module")
def server(pki: PKI, identities: dict[str, Identity]) -> Iterator[Server]:
    """A Postfix with each of the certificates, started at its first use."""
    running: dict[str, PostfixServer] = {}
    with contextlib.ExitStack() as stack:

        def serve(label: str) -> PostfixServer:
            if label not in running:
                running[label] = stack.enter_context(postfix_daemon.serve(pki, identity=identities[label]))
            running[label].clear()
            return running[label]

        yield serve


def tlsa(fields: str, identity: Identity, position: int = 0) -> str:
    """The record of a certificate of the chain; ``fields`` are its first three numbers."""
    certificate = x509.load_pem_x509_certificates(identity.cert_file.read_bytes())[position]
    _, selector, matching = fields.split()
    data = (
        certificate.public_bytes(Encoding.DER)
        if selector == "0"
        else certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    )
    digest = {
        "0": lambda it: it,
        "1": lambda it: hashlib.sha256(it).digest(),
        "2": lambda it: hashlib.sha512(it).digest(),
    }
    return f"{fields} {digest[matching](data).hex()}"


WRONG = "00" * 32

ACCEPTED = [
    # DANE-EE: neither names nor validity matter, and no authority.
    *[(label, [f"3 {s} {m}"], "dane-ee") for label in ("good",) for s in (0, 1) for m in (0, 1, 2)],
    ("expired", ["3 1 1"], "dane-ee"),
    ("wrong name", ["3 0 2"], "dane-ee"),
    ("wrong name chain", ["3 1 1"], "dane-ee"),
    # DANE-TA: the authority is in the chain, or whole in the record.
    *[("chain", [f"2 {s} {m}"], "dane-ta") for s in (0, 1) for m in (0, 1, 2)],
    # Lists: any that matches, unusable ones beside it, DANE-EE first.
    ("chain", [f"3 1 1 {WRONG}", "2 1 1"], "dane-ta"),
    ("chain", [f"1 1 1 {WRONG}", f"3 1 9 {WRONG}", "3 1 1"], "dane-ee"),
    ("wrong name chain", ["2 1 1", "3 1 1"], "dane-ee"),
]


@pytest.mark.parametrize(("label", "records", "believed"), ACCEPTED)
def test_records_that_authenticate(
    face: Face, server: Server, identities: dict[str, Identity], label: str, records: list[str], believed: str
) -> None:
    mail, identity = server(label), identities[label]
    full = [one if len(one) > 5 else tlsa(one, identity, 1 if one[0] == "2" else 0) for one in records]
    with face.smtp(mail.url, tls=starttls.TLSConfig(tlsa=full)) as session:
        report = session.send(MESSAGE)
    assert report.tls.verified_by == believed and report.tls.name_checked is (believed == "dane-ta")
    assert len(mail.messages()) == 1


REFUSED = [
    ("good", [f"3 1 1 {WRONG}"], "tlsa-mismatch"),
    ("good", [f"2 1 1 {WRONG}"], "tlsa-mismatch"),
    # The server's own key is no authority, and an authority's key is not the server's.
    ("chain", ["2 1 1 of the server"], "tlsa-mismatch"),
    ("chain", ["3 1 1 of the authority"], "tlsa-mismatch"),
    ("expired chain", ["2 1 1"], "certificate-expired"),
    ("expired chain", ["2 0 0"], "certificate-expired"),
    ("wrong name chain", ["2 0 1"], "name-mismatch"),
    # The strongest digest decides (RFC 7671, section 9).
    ("good", ["3 1 1", f"3 1 2 {WRONG * 2}"], "tlsa-mismatch"),
    # Nothing that can be used is no reason to believe anybody.
    ("good", ["0 0 1 of the server"], "tlsa-unusable"),
    ("good", ["1 1 1"], "tlsa-unusable"),
    ("good", [f"3 1 2 {WRONG}"], "tlsa-unusable"),
]


@pytest.mark.parametrize(("label", "records", "kind"), REFUSED)
def test_records_that_do_not(
    face: Face, server: Server, identities: dict[str, Identity], label: str, records: list[str], kind: str
) -> None:
    mail, identity = server(label), identities[label]
    full = []
    for one in records:
        of_authority = one.endswith("authority") or (one[0] == "2" and not one.endswith("server"))
        short = len(one) == 5 or " of " in one
        full.append(tlsa(one[:5], identity, int(of_authority)) if short else one)
    trace: list[str] = []
    # The authority is known all the same: the records alone count.
    trust = starttls.TLSConfig(ca_file=mail.ca_file, tlsa=full)
    with pytest.raises(starttls.TLSError) as caught, face.smtp(mail.url, tls=trust, trace=trace.append):
        pass
    assert caught.value.kind == kind
    assert isinstance(caught.value, starttls.CertificateError) is (kind != "tlsa-unusable")
    assert not any("AUTH" in event for event in trace)
    assert (trace == []) is (kind == "tlsa-unusable")


def test_pins_count_beside_records(face: Face, server: Server, identities: dict[str, Identity]) -> None:
    mail = server("good")
    trust = starttls.TLSConfig(tlsa=[tlsa("3 1 1", identities["good"])], pins=[bytes(32)])
    with pytest.raises(starttls.CertificateError) as caught, face.smtp(mail.url, tls=trust):
        pass
    assert caught.value.kind == "pin-mismatch"


@pytest.mark.parametrize("text", ["", "3 1 1", "3 1 1 xyz", "3 1 1 abc", "x 1 1 ab", "300 1 1 ab"])
def test_what_is_no_record(text: str) -> None:
    with pytest.raises(starttls.InvalidArgument, match="TLSA"):
        starttls.TLSConfig(tlsa=[text])
    done = cli("probe", "smtp://localhost", "--tlsa", text)
    assert done.code == 64 and "TLSA" in done.err


def test_files_too(face: Face, proftpd: FTPServer, pki: PKI) -> None:
    """The data connections are held to the records as well."""
    trust = starttls.TLSConfig(tlsa=[tlsa("3 1 1", pki.server)])
    with face.ftp(proftpd.url, tls=trust) as session:
        assert session.tls.verified_by == "dane-ee"
        session.scandir()
    wrong = starttls.TLSConfig(ca_file=proftpd.ca_file, tlsa=[f"3 1 1 {WRONG}"])
    with pytest.raises(starttls.CertificateError), face.ftp(proftpd.url, tls=wrong):
        pass


def test_records_from_the_command_line(server: Server, identities: dict[str, Identity]) -> None:
    mail = server("expired chain")
    words = ("send", mail.url, *FROM, *TO, "--json")
    done = cli(*words, "--tlsa", tlsa("3 1 1", identities["expired chain"]), stdin=MESSAGE)
    assert done.code == 0 and done.json["tls"]["verified_by"] == "dane-ee"
    assert "expired" in done.json["tls"]["warnings"] and "expired" in done.err
    done = cli(*words, "--tlsa", tlsa("2 1 1", identities["expired chain"], 1), stdin=MESSAGE)
    assert done.code == 76 and done.json["error"]["kind"] == "tls_certificate_expired"
    done = cli(*words, "--tlsa", f"1 1 1 {WRONG}", stdin=MESSAGE)
    assert done.code == 76 and done.json["error"]["kind"] == "tls_tlsa_unusable"
    done = cli(*words, "--insecure", "--tlsa", f"3 1 1 {WRONG}", stdin=MESSAGE)
    assert done.code == 64 and "contradict" in done.err
    probed = cli("probe", mail.url, "--json", "--tlsa", f"3 1 1 {WRONG}")
    assert probed.code == 76 and probed.json["trusted"] is False and len(probed.json["certificates"]) == 2
    assert len(mail.messages()) == 1


# --- MTA-STS


def policy(mode: str, *mx: str) -> str:
    return "\r\n".join(["version: STSv1", f"mode: {mode}", *(f"mx: {host}" for host in mx), "max_age: 86400", ""])


@pytest.mark.parametrize(
    ("mode", "mx", "verdict"),
    [
        ("enforce", "localhost", "satisfied"),
        ("testing", "LOCALHOST", "satisfied"),
        ("testing", "mx.example.org", "violated"),
        ("none", "mx.example.org", None),
    ],
)
def test_a_policy_that_lets_pass(face: Face, server: Server, mode: str, mx: str, verdict: str | None) -> None:
    mail = server("good")
    trust = starttls.TLSConfig(ca_file=mail.ca_file, mta_sts=policy(mode, "other.example.net", mx))
    with face.smtp(mail.url, tls=trust) as session:
        report = session.send(MESSAGE)
    assert report.tls.mta_sts == verdict and report.tls.verified_by == "authorities"


@pytest.mark.parametrize("mx", ["mx.example.org", "*.localhost", "*.example.org"])
@pytest.mark.parametrize("end", ["", "?tls=none"])
def test_a_policy_that_is_enforced(face: Face, server: Server, mx: str, end: str) -> None:
    mail, trace = server("good"), list[str]()
    trust = starttls.TLSConfig(ca_file=mail.ca_file, mta_sts=policy("enforce", mx))
    with pytest.raises(starttls.TLSError) as caught, face.smtp(mail.url + end, tls=trust, trace=trace.append):
        pass
    assert caught.value.kind == "mta-sts-violation" and trace == []


def test_a_policy_is_about_the_name_in_the_certificate(face: Face, server: Server) -> None:
    mail = server("wrong name")
    url = mail.url.replace("localhost", "127.0.0.1")
    trust = {"ca_file": mail.ca_file, "mta_sts": policy("enforce", "*.example")}
    with face.smtp(url, tls=starttls.TLSConfig(server_name="elsewhere.example", **trust)) as session:
        assert session.tls.mta_sts == "satisfied"
    with pytest.raises(starttls.TLSError) as caught, face.smtp(url, tls=starttls.TLSConfig(**trust)):
        pass
    assert caught.value.kind == "mta-sts-violation"


@pytest.mark.parametrize("mode", ["enforce", "testing"])
def test_no_policy_makes_up_for_a_bad_certificate(face: Face, server: Server, mode: str) -> None:
    mail = server("expired")
    trust = starttls.TLSConfig(ca_file=mail.ca_file, mta_sts=policy(mode, "localhost"))
    with pytest.raises(starttls.CertificateError) as caught, face.smtp(mail.url, tls=trust):
        pass
    assert caught.value.kind == "certificate-expired"


def test_any_certificate_is_against_the_policy(face: Face, server: Server) -> None:
    mail = server("good")
    anybody = {"danger_accept_any_certificate": True}
    enforced = starttls.TLSConfig(mta_sts=policy("enforce", "localhost"), **anybody)
    with pytest.raises(starttls.TLSError) as caught, face.smtp(mail.url, tls=enforced):
        pass
    assert caught.value.kind == "mta-sts-violation"
    with face.smtp(mail.url, tls=starttls.TLSConfig(mta_sts=policy("testing", "localhost"), **anybody)) as session:
        assert session.tls.mta_sts == "violated" and session.tls.verified_by == "nobody"


def test_records_stand_before_a_policy(face: Face, server: Server, identities: dict[str, Identity]) -> None:
    """RFC 8461, section 2: what DANE says, a policy neither allows nor forbids."""
    mail = server("good")
    for mx in ("localhost", "mx.example.org"):
        both = starttls.TLSConfig(tlsa=[tlsa("3 1 1", identities["good"])], mta_sts=policy("enforce", mx))
        with face.smtp(mail.url, tls=both) as session:
            assert session.tls.verified_by == "dane-ee" and session.tls.mta_sts is None
    wrong = starttls.TLSConfig(ca_file=mail.ca_file, tlsa=[f"3 1 1 {WRONG}"], mta_sts=policy("enforce", "localhost"))
    with pytest.raises(starttls.CertificateError) as caught, face.smtp(mail.url, tls=wrong):
        pass
    assert caught.value.kind == "tlsa-mismatch"


@pytest.mark.parametrize("text", ["", "<html>", policy("enforce"), policy("force", "a"), policy("enforce", "*")])
def test_what_is_no_policy(text: str, tmp_path: Path) -> None:
    with pytest.raises(starttls.InvalidArgument, match="MTA-STS"):
        starttls.TLSConfig(mta_sts=text)
    file = tmp_path / "policy"
    file.write_text(text)
    done = cli("probe", "smtp://localhost", "--mta-sts", file)
    assert done.code == 65 and "MTA-STS" in done.err


def test_a_policy_from_the_command_line(server: Server, tmp_path: Path, proftpd: FTPServer) -> None:
    mail, file = server("good"), tmp_path / "policy"
    words = ("send", mail.url, *FROM, *TO, *ca(mail), "--json", "--mta-sts", file)
    file.write_bytes(policy("enforce", "localhost").encode())
    done = cli(*words, stdin=MESSAGE)
    assert done.code == 0 and done.json["tls"]["mta_sts"] == "satisfied"
    file.write_bytes(policy("testing", "mx.example.org").encode())
    done = cli(*words, stdin=MESSAGE)
    assert (
        done.code == 0
        and done.json["tls"]["mta_sts"] == "violated"
        and "mta-sts-violated" in done.json["tls"]["warnings"]
    )
    file.write_bytes(policy("enforce", "mx.example.org").encode())
    done = cli(*words, stdin=MESSAGE)
    assert done.code == 76 and done.json["error"]["kind"] == "tls_mta_sts_violation"
    assert cli(*words[:-1], tmp_path / "nothing", stdin=MESSAGE).code == 66
    assert cli("ls", proftpd.url, *ca(proftpd), "--mta-sts", file).code == 64
    assert len(mail.messages(2)) == 2


# --- what there is to be told


def test_warnings(face: Face, pki: PKI, server: Server) -> None:
    mail = server("good")
    with face.smtp(mail.url, tls=starttls.TLSConfig(ca_file=mail.ca_file)) as session:
        agreed = session.tls
    # Valid for five days.
    assert agreed.warnings == ("expires-soon",)
    [shown] = agreed.certificates
    real = x509.load_pem_x509_certificate(pki.server.cert_file.read_bytes())
    assert shown.not_after == real.not_valid_after_utc and shown.not_before == real.not_valid_before_utc
    assert (shown.subject, shown.issuer) == ("CN=starttls test", "CN=starttls test root")
    assert shown.names == ("localhost", "127.0.0.1", "::1")
    key = real.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert shown.public_key_sha256 == hashlib.sha256(key).digest()
    with face.smtp(mail.url, tls=starttls.TLSConfig(danger_accept_any_certificate=True)) as session:
        assert session.tls.warnings == ("not-verified", "expires-soon")
    assert datetime.datetime.now(datetime.UTC) < shown.not_after


def test_reports_as_data(face: Face, server: Server) -> None:
    mail = server("good")
    with face.smtp(mail.url, tls=starttls.TLSConfig(ca_file=mail.ca_file)) as session:
        to = ["bob@example.test", "unknown@example.test"]
        report = session.send(MESSAGE, recipients=to)
    told = json.loads(report.to_json())
    assert told == report.to_dict()
    assert told["outcome"] == "partial" and told["accepted"] == to[:1]
    assert told["refused"][to[1]] == {
        "code": 550,
        "lines": list(report.refused[to[1]].lines),
        "enhanced_code": "5.1.1",
    }
    assert told["queue_id"] == report.queue_id and told["error"] is None
    agreed = told["tls"]
    assert agreed["verified_by"] == "authorities" and agreed["name_checked"] is True
    assert agreed["warnings"] == ["expires-soon"] and "chain" not in agreed
    assert agreed["certificates"][0]["not_after"] == report.tls.certificates[0].not_after.isoformat()
    error = starttls.Rejected("no", phase="command", reply=starttls.Reply(550, ("no",)))
    lost = starttls.DeliveryReport("unknown", (), {}, error=error).to_dict()
    assert lost["error"]["kind"] == "rejected" and lost["error"]["reply"]["code"] == 550


def test_the_command_line_tells_the_same(server: Server) -> None:
    mail = server("good")
    done = cli("send", mail.url, *FROM, *TO, "--to", "full@example.test", *ca(mail), "--json", stdin=MESSAGE)
    assert done.code == 79
    told = done.json
    assert set(told) == {"outcome", "recipients", "reply", "queue_id", "tls", "login", "error", "exit_code"}
    assert [(one["recipient"], one["accepted"], one["reply"]["code"]) for one in told["recipients"]] == [
        ("bob@example.test", True, 250),
        ("full@example.test", False, 452),
    ]
    agreed = told["tls"]
    assert agreed["verified_by"] == "authorities" and agreed["name_checked"] is True and agreed["mta_sts"] is None
    assert agreed["warnings"] == ["expires-soon"]
    assert agreed["certificates"][0]["subject"] == "CN=starttls test"
