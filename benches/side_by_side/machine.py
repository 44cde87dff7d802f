"""Processes, ports and memory of the machine the measurements run on."""

import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

IN_OWN_NETWORK = "LBDEV_BENCH_NETWORK"


class Unmeasured(Exception):
    """Something could not be measured; the text says why."""


def enter_own_network():
    """As root: starts this program again in a network namespace of its own, whose loopback nobody else uses."""
    if os.geteuid() != 0 or os.environ.get(IN_OWN_NETWORK):
        return
    works = subprocess.run(["unshare", "-n", "true"], capture_output=True).returncode == 0
    if not works:
        return
    os.environ[IN_OWN_NETWORK] = "1"
    up = 'ip link set lo up && exec "$@"'
    os.execvp("unshare", ["unshare", "-n", "sh", "-c", up, "sh", sys.executable, *sys.argv])


def allow_many_files():
    """Two thousand clients are more open files than a shell usually allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 0.5).close()
        return True
    except OSError:
        return False


def until(condition, limit, what, every=0.01):
    """Polls until `condition` holds."""
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            raise Unmeasured(f"{what} within {limit:g} s")
        time.sleep(every)


def tree(pid):
    """A process and all that come from it."""
    children = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                stat = (folder / "stat").read_text()
            except OSError:
                continue
            parent = int(stat.rsplit(")", 1)[1].split()[1])
            children.setdefault(parent, []).append(int(folder.name))
    found, left = [], [pid]
    while left:
        one = left.pop()
        found.append(one)
        left += children.get(one, [])
    return found


def memory(pids):
    """MiB that these processes hold: proportional set size, so that shared pages count once."""
    total = 0
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        if found := re.search(r"^Pss:\s+(\d+)", text, re.M):
            total += int(found[1])
    return total / 1024


class Running:
    """A program that was started here, and is ended here."""

    def __init__(self, argv, log, cpu=None, **how):
        self.log = Path(log)
        if cpu is not None:
            argv = ["taskset", "-c", str(cpu), *argv]
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, **how
            )

    def until_listens(self, port):
        def there():
            if self.process.poll() is not None:
                raise Unmeasured(f"it ended at once: {self.last_words()}")
            return listens(port)

        try:
            until(there, 20, f"port {port} did not answer")
        except BaseException:
            self.stop()
            raise

    def last_words(self):
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def pids(self):
        return tree(self.process.pid)

    def stop(self):
        """TERM, then KILL to whatever of it is left."""
        all_of_it = self.pids()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                pass
        for pid in all_of_it:
            if pid != self.process.pid or self.process.poll() is None:
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
