"""Run one server for a test that is not written in Python.

``python3 -m tests.servers NAME`` starts the server, prints one line of JSON that says how to
reach it, and stops it when standard input ends.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys

from . import dovecot, pki
from .catalogue import PROXIES, SERVERS
from .ftp import FTPServer
from .mail import MailServer
from .process import scratch
from .service import Service


def describe(server: FTPServer | MailServer | Service, made: pki.PKI) -> str:
    """The server's plain attributes as one line of JSON; paths are absolute."""
    values = {field.name: getattr(server, field.name) for field in dataclasses.fields(server)}
    values["url"] = server.url
    values["implicit_url"] = server.implicit_url if server.implicit_port else None
    values["client_cert_file"], values["client_key_file"] = made.client.cert_file, made.client.key_file
    values["crl_file"] = made.crl_file
    values["other_crl_file"] = made.other_crl_file
    if isinstance(server, dovecot.DovecotServer):
        values["token"] = server.token()
    return json.dumps({name: value for name, value in values.items() if not callable(value)}, default=str)


def main() -> None:
    """Read the command line, serve, and wait for the end of standard input."""
    parser = argparse.ArgumentParser(prog="tests.servers", description=__doc__)
    parser.add_argument("name", choices=[*SERVERS, *PROXIES])
    parser.add_argument("--tls", choices=["1.2", "1.3"], help="speak this TLS version alone")
    identities = [field.name for field in dataclasses.fields(pki.PKI) if not field.name.endswith("_file")]
    parser.add_argument("--identity", choices=identities, default="server", help="the certificate to show")
    wanted = parser.parse_args()
    if wanted.name in PROXIES:
        with PROXIES[wanted.name]() as proxy:
            print(json.dumps({"url": proxy.url, "port": proxy.port}), flush=True)
            sys.stdin.read()
        return
    with scratch("pki") as folder:
        made = pki.make(folder)
        with SERVERS[wanted.name](made, identity=getattr(made, wanted.identity), tls=wanted.tls) as server:
            print(describe(server, made), flush=True)
            sys.stdin.read()


if __name__ == "__main__":
    main()
