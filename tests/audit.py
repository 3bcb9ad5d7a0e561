"""Looks the locked packages up in the vulnerability database, and says so where it has not got an answer.

``pip-audit`` ends with status 0 and "No known vulnerabilities found" also where the database answers nothing at all.
Run as ``python -m tests.audit`` (``make audit``); ``--may-skip``: end with status 0 where nothing could be looked up.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

BIN = Path(sys.executable).parent
EXPORT = ["export", "--frozen", "--quiet", "--all-extras", "--no-emit-project", "--output-file"]
AUDIT = [
    "--require-hashes",
    "--disable-pip",
    "--format",
    "json",
    "--progress-spinner",
    "off",
    "--requirement",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What an audit found. ``was_run`` False: no package could be looked up."""

    was_run: bool
    sentences: list[str]
    is_clean: bool


def judge(printed: str, errors: str) -> Verdict:
    """Return the verdict on what pip-audit printed as JSON, or wrote to standard error instead."""
    try:
        found = json.loads(printed)["dependencies"]
    except ValueError:
        last = (errors.strip().splitlines() or ["no output"])[-1]
        return Verdict(was_run=False, sentences=[f"pip-audit did not finish: {last}"], is_clean=False)
    skipped = [one["name"] for one in found if "skip_reason" in one]
    known = [
        f"{one['name']} {one['version']}: {vuln['id']}, fixed in {', '.join(vuln['fix_versions']) or 'no version'}"
        for one in found
        for vuln in one.get("vulns", [])
    ]
    looked_up = len(found) - len(skipped)
    not_found = [f"Not looked up: {', '.join(skipped)}."] if skipped and looked_up else []
    return Verdict(
        was_run=looked_up > 0,
        sentences=[*known, *not_found, f"{looked_up} of {len(found)} packages looked up."],
        is_clean=not known,
    )


def main() -> int:
    """Return the exit status: 1 for a known vulnerability, or where nothing could be looked up and may not be."""
    requirements = BIN.parent / "audit.txt"
    subprocess.run([BIN / "uv", *EXPORT, requirements], check=True)
    done = subprocess.run(
        [BIN / "pip-audit", *AUDIT, requirements], capture_output=True, text=True, check=False
    )
    verdict = judge(done.stdout, done.stderr)
    print("\n".join(verdict.sentences))
    if verdict.was_run:
        return 0 if verdict.is_clean else 1
    print("SKIPPED: the audit: the vulnerability database does not answer here.", file=sys.stderr)
    return 0 if "--may-skip" in sys.argv else 1


if __name__ == "__main__":
    sys.exit(main())
