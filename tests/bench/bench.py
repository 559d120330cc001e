#!/usr/bin/env python3
"""Measures our clients beside others, against a local server that limits none of them.

Everything it needs is installed and built below build/bench first. Clients take turns, and the best of the
repeats counts: compare figures only within one run. See README.md beside this file.
"""

import argparse
import json
import resource
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kit import clients, data, imports, ours, provision, report, targets
from kit.clients import Run
from kit.measure import measure
from kit.operations import FULL, OPERATIONS, QUICK
from kit.server import Server

ROUND_TRIP = 20
"""Milliseconds on the delayed ports."""
IMPORT = "import"


def parse() -> argparse.Namespace:
    names = list(dict.fromkeys(operation.name for operation in OPERATIONS))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes and two repeats: does it work at all?")
    parser.add_argument("--repeats", type=int, help="instead of each operation's own number")
    parser.add_argument("--operations", help=f"only these, with commas: {', '.join([*names, IMPORT])}")
    parser.add_argument("--clients", help="only clients whose name contains one of these, with commas")
    parser.add_argument("--peers-only", action="store_true", help="without our own clients")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples there")
    parser.add_argument("--check", action="store_true", help="fail if one of our rows is behind, or has failed")
    return parser.parse_args()


def wanted(names: str | None, name: str) -> bool:
    return names is None or name in names.split(",")


def main() -> int:
    arguments = parse()
    # For the server and the clients, who inherit it: many connections are many files.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    sizes = QUICK if arguments.quick else FULL
    provision.server()
    provision.peers()
    competitors = clients.peers()
    if not arguments.peers_only:
        ours.build()
        competitors += ours.clients()
    if arguments.clients:
        parts = arguments.clients.split(",")
        competitors = [client for client in competitors if any(part in client.name for part in parts)]
    files = data.generate(sizes)
    print(f"# Benchmark\n\n{report.machine()}; {'; '.join(versions())}\n")
    results: dict[str, Any] = {"machine": report.machine(), "versions": versions(), "quick": arguments.quick}
    tables: list[report.Table] = []
    with Server(ROUND_TRIP) as server:
        for operation in OPERATIONS:
            if wanted(arguments.operations, operation.name):
                provision.say(f"{operation.name}: {operation.title}")
                taking_part = [client for client in competitors if client.does(operation.name, operation.protocol)]
                argument = operation.argument(sizes)
                run = Run(
                    operation.name,
                    server.port(operation.service),
                    server.ca_file,
                    str(files.get(argument, argument)),
                    operation.count(sizes),
                    sizes.seconds,
                )
                repeats = arguments.repeats or (2 if arguments.quick else operation.repeats)
                table = report.Table(operation, sizes, measure(taking_part, operation, run, sizes, server, repeats))
                print(table.markdown(), flush=True)
                tables.append(table)
    results["operations"] = [table.data() for table in tables]
    within_budget = True
    if wanted(arguments.operations, IMPORT):
        provision.say("import")
        repeats = arguments.repeats or (5 if arguments.quick else imports.REPEATS)
        imported = imports.measure(with_ours=not arguments.peers_only, repeats=repeats)
        print(imported.markdown(), flush=True)
        within_budget = imported.is_within_budget()
        results["import"] = asdict(imported)
    print(targets.markdown(tables, is_quick=arguments.quick))
    standings = [standing for table in tables for standing in table.standings()]
    print(report.summary(standings, is_quick=arguments.quick))
    if not within_budget:
        print(f"Importing starttls takes more than {imports.BUDGET_MS:.0f} ms of CPU time.")
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")
    wrong = not within_budget or any(standing.verdict in ("BEHIND", "FAILED") for standing in standings)
    return 1 if arguments.check and wrong else 0


def versions() -> list[str]:
    return provision.versions([["rustc", "--version"], ["node", "--version"], ["curl", "--version"]])


if __name__ == "__main__":
    sys.exit(main())
