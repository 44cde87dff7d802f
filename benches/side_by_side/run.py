"""Builds what is needed, measures group by group, prints the table."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from . import table
from .django_row import django
from .engines import INSTALL, Engines
from .everyday_rows import everyday
from .http_rows import cost, growth, held_memory
from .load import FIRST_BACKEND, Load
from .machine import IN_OWN_NETWORK, Unmeasured, allow_many_files, enter_own_network

REPOSITORY = Path(__file__).resolve().parents[2]
ENGINES = ["builtin", "nginx", "haproxy"]
GROUPS = ["http", "growth", "memory", "django", "everyday"]
# Backends behind each proxy.
BACKENDS = 4


def everything(quick, engines, groups, markdown, samples):
    """Returns the exit code: 0 when the table is there, whatever it says."""
    # Debian's programs for administrators are not on everybody's path.
    os.environ["PATH"] += os.pathsep + "/usr/sbin"
    if not os.environ.get(IN_OWN_NETWORK):
        build()
    enter_own_network()
    allow_many_files()
    programs = target() / "release"
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="lb", dir="/tmp") as folder:
        scratch = Path(folder)
        proxies = Engines(scratch, str(programs / "lbdev"), engines)
        if proxies.missing:
            say(f"without {' and '.join(proxies.missing)}, which is not here; {INSTALL}")
        rounds, seconds = (3, 0.5) if quick else (9, 1.5)
        load = Load(programs / "load", scratch, rounds, seconds)
        rows = measure(load, proxies, groups, engines, quick)
    print(table.markdown(rows) if markdown else table.plain(rows))
    say(footer(time.monotonic() - begun, rounds, seconds))
    if samples:
        samples.write_text(json.dumps({row.title: every_sample(row) for row in rows}, indent=1))
    return 0


def measure(load, proxies, groups, engines, quick):
    rows = []
    with load.backends(64):
        if set(groups) & {"http", "growth"} and (os.cpu_count() or 1) > 1:
            # The proxy has a core for itself, so that who loads it does not slow it down.
            proxies.cpu, load.cpu = 0, 1
        if "http" in groups:
            say("what a request costs")
            rows += http(load, proxies, engines)
        if "growth" in groups:
            say("how that grows")
            rows += growth(load, proxies)
        proxies.cpu = load.cpu = None
        if "memory" in groups:
            say("memory")
            rows += held_memory(load, proxies)
    if "django" in groups:
        say("Django")
        rows += django(load, proxies, python())
    if "everyday" in groups:
        say("commands, deaths, restarts")
        rows += everyday(proxies.lbdev, load.program, load.scratch, 3 if quick else 15)
    return rows


def http(load, proxies, engines):
    started = []
    try:
        for name in proxies.names:
            try:
                started.append(proxies.start(name, range(FIRST_BACKEND, FIRST_BACKEND + BACKENDS)))
            except Unmeasured as why:
                say(f"{name} does not run: {why}")
        for proxy in started:
            load.once(proxy, seconds=0.3, warmup=0.1, connections=8)
        return cost(load, started, engines)
    finally:
        for proxy in started:
            proxy.stop()


def build():
    """lbdev as `cargo install` makes it, and the load."""
    for package in ("load", "lbdev"):
        cargo = ["cargo", "build", "--release", "--locked", "--quiet", "--package", package]
        if subprocess.run(cargo, cwd=REPOSITORY).returncode != 0:
            sys.exit(f"side-by-side: {' '.join(cargo)} failed")


def target():
    """Where cargo builds to."""
    said = subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--no-deps", "--offline"],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
    )
    return Path(json.loads(said.stdout)["target_directory"])


def python():
    """A Python that has Django."""
    own = REPOSITORY / "tests/.env/venv/bin/python"
    for candidate in (os.environ.get("LBDEV_TEST_PYTHON"), str(own), sys.executable):
        if candidate and shutil.which(candidate):
            has = subprocess.run([candidate, "-c", "import django"], capture_output=True)
            if has.returncode == 0:
                return candidate
    return None


def footer(took, rounds, seconds):
    control = Path("/proc/sys/net/ipv4/tcp_congestion_control")
    parts = [
        f"{took:.0f} s",
        f"{rounds} rounds of {seconds} s",
        f"{os.cpu_count()} cores",
        f"load average {os.getloadavg()[0]:.1f}",
        f"Linux {os.uname().release}",
    ]
    if control.exists():
        parts.append(f"tcp {control.read_text().strip()}")
    return ", ".join(parts)


def every_sample(row):
    return {
        "figures": {name: figure.samples for name, figure in row.figures.items()},
        "notes": {name: figure.samples for name, figure in row.notes.items()},
        "lacks": row.lacks,
    }


def say(text):
    print(f"side-by-side: {text}", file=sys.stderr, flush=True)
