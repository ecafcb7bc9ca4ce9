#!/usr/bin/env python3
"""Runs docs/first-day.md as a reader would, and prints the time of each step.

The commands are the page's own code blocks, so page and run can't differ:

    ```sh run            ends before the next block begins
    ```sh start NAME     goes on in a terminal of its own; the next block of NAME stops it first
    ```text shown        lines of the output of the block before, in this order

In `shown`, an ellipsis stands for anything. Numbers with a fraction, or of more than three digits, may
differ, and so may the width of blanks. Usage: run.py DIRECTORY [PAGE], where PAGE is the file that gets the table of times.
"""

import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

PAGE = "docs/first-day.md"
MARKS = ("<!-- made by make first-day -->", "<!-- end -->")
START_SECONDS = 1800
RUN_SECONDS = 3600
# What `make first-day` hands down and a reader's shell does not have.
NOT_A_READERS = re.compile(
    r"MAKE|MFLAGS|CARGO_|CONFIG$|ENVOY|TIERGATE_|(PROXY|ADMIN|UPSTREAM)_PORT"
)


class Wrong(Exception):
    """The page is wrong, or a command of it failed."""


def blocks(text):
    """Yields (step, info, body) of each block that is marked, in order."""
    step = None
    fence = re.compile(r"^## (.+)$|^```(\S+ \S.*)\n((?:.*\n)*?)```$", re.MULTILINE)
    for found in fence.finditer(text):
        heading, info, body = found.groups()
        if heading:
            step = heading
        elif info.split()[1] in ("run", "start", "shown"):
            yield step, info.split()[1:], body


def single_spaced(line):
    return " ".join(line.split())


def pattern(line):
    """A regex for one line of a `shown` block."""
    parts = re.split(r"(…|\d+\.\d+|\d{4,})", single_spaced(line))
    wild = {"…": ".*"}
    return "".join(
        wild.get(part, r"\d+(?:\.\d+)?") if at % 2 else re.escape(part)
        for at, part in enumerate(parts)
    )


def missing(shown, output):
    """The first line of `shown` that `output` lacks, or None."""
    lines = iter(output.splitlines())
    for line in filter(str.strip, shown.splitlines()):
        wanted = re.compile(pattern(line))
        if not any(wanted.fullmatch(single_spaced(candidate)) for candidate in lines):
            return line
    return None


class Terminals:
    """The processes that go on beside the reader's shell."""

    def __init__(self, directory, environment):
        self.directory, self.environment, self.open = directory, environment, {}

    def spawn(self, command, log):
        return subprocess.Popen(
            ["sh", "-e", "-c", command],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def start(self, name, command, shown):
        self.stop(name)
        log = tempfile.NamedTemporaryFile()
        process = self.spawn(command, log)
        self.open[name] = (process, log)
        end = time.monotonic() + START_SECONDS
        while (line := missing(shown, output_of(log))) is not None:
            if process.poll() is not None or time.monotonic() > end:
                raise Wrong(f"no line {line!r} from:\n{command}\n{output_of(log)}")
            time.sleep(0.1)

    def stop(self, name):
        process, _ = self.open.pop(name, (None, None))
        if process:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(30)

    def run(self, command, shown):
        with tempfile.NamedTemporaryFile() as log:
            process = self.spawn(command, log)
            self.open["run"] = (process, log)
            status = process.wait(RUN_SECONDS)
            self.open.pop("run")
            output = output_of(log)
        if status != 0:
            raise Wrong(f"exit code {status} of:\n{command}\n{output}")
        if (line := missing(shown, output)) is not None:
            raise Wrong(f"no line {line!r} from:\n{command}\n{output}")


def output_of(log):
    return pathlib.Path(log.name).read_text(errors="replace")


def run(directory):
    """Runs the page in `directory`; returns {step: [(seconds, command), …]}."""
    found = list(blocks((directory / PAGE).read_text()))
    environment = {k: v for k, v in os.environ.items() if not NOT_A_READERS.match(k)}
    terminals = Terminals(directory, environment)
    times = {}
    try:
        for at, (step, (kind, *name), body) in enumerate(found):
            if kind == "shown":
                continue
            after = found[at + 1] if at + 1 < len(found) else (None, ("run",), "")
            shown = after[2] if after[1][0] == "shown" else ""
            began = time.monotonic()
            if kind == "start":
                terminals.start(name[0], body, shown)
            else:
                terminals.run(body, shown)
            seconds = time.monotonic() - began
            first = body.splitlines()[0]
            print(f"{seconds:8.1f} s  {step}: {first[:90]}", flush=True)
            times.setdefault(step, []).append((seconds, first))
    finally:
        for name in list(terminals.open):
            terminals.stop(name)
    return times


def shortened(command):
    return command if len(command) <= 40 else command[:39].rstrip() + "…"


def table(times):
    rows = ["| step | seconds | the longest command of it |", "|---|---|---|"]
    for step, commands in times.items():
        seconds, longest = max(commands)
        total = sum(taken for taken, _ in commands)
        rows.append(f"| {step} | {total:.0f} | `{shortened(longest)}`, {seconds:.0f} |")
    total = sum(taken for commands in times.values() for taken, _ in commands)
    rows.append(f"| all | {total:.0f} | |")
    return "\n".join(rows)


def replace(page, rows):
    text = page.read_text()
    before, rest = text.split(MARKS[0], 1)
    _, after = rest.split(MARKS[1], 1)
    page.write_text(f"{before}{MARKS[0]}\n\n{rows}\n\n{MARKS[1]}{after}")


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        rows = table(run(pathlib.Path(sys.argv[1]).resolve()))
    except Wrong as wrong:
        sys.exit(f"first day: {wrong}")
    print(rows)
    if len(sys.argv) > 2:
        replace(pathlib.Path(sys.argv[2]), rows)


if __name__ == "__main__":
    main()
