"""What a person waits for: commands, deaths and restarts."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
from contextlib import contextmanager
from statistics import median

from .engines import home
from .machine import Running, Unmeasured, until
from .table import ALL, Bar, Figure, Row

LISTEN = 19500
FIRST = 19501
PORTS = range(FIRST, FIRST + 4)
# How long after a death a request is sent, in milliseconds.
AFTER = [0.0, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 25.0, 50.0]


class Project:
    """An lbdev in a folder of its own."""

    def __init__(self, lbdev, folder):
        folder.mkdir(exist_ok=True)
        self.lbdev, self.folder = lbdev, folder
        self.env = {**os.environ, **home(folder)}

    def run(self, *words):
        done = subprocess.run(
            [self.lbdev, *words], cwd=self.folder, env=self.env, capture_output=True, text=True
        )
        if done.returncode != 0:
            raise Unmeasured(f"lbdev {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def timed(self, *words):
        """Milliseconds of a whole command."""
        begun = time.perf_counter()
        self.run(*words)
        return (time.perf_counter() - begun) * 1000

    def beyond_empty(self, *words, **env):
        """Milliseconds of a whole command beyond those of a program that does nothing, started in turn with it."""
        begun = time.perf_counter()
        subprocess.run(["true"], cwd=self.folder, env=self.env, capture_output=True)
        between = time.perf_counter()
        argv = [self.lbdev, *words]
        subprocess.run(argv, cwd=self.folder, env=self.env | env, capture_output=True)
        return ((time.perf_counter() - between) - (between - begun)) * 1000

    def start(self, *words):
        argv = [self.lbdev, *words, "--listen", f"localhost:{LISTEN}"]
        return Running(argv, self.folder / "out.log", cwd=self.folder, env=self.env)

    def demo(self):
        return self.start("demo", "--ports", f"{PORTS.start}-{PORTS.stop - 1}")

    def backends(self):
        return {one["port"]: one for one in json.loads(self.run_status())["backends"]}

    def run_status(self):
        """Its exit code says how things are; here only what it prints counts."""
        words = [self.lbdev, "status", "--json"]
        return subprocess.run(words, cwd=self.folder, env=self.env, capture_output=True).stdout

    def until_all_up(self):
        def up():
            try:
                states = [one["state"] for one in self.backends().values()]
            except (json.JSONDecodeError, KeyError):
                return False
            return states == ["up"] * len(PORTS)

        until(up, 20, "not all backends were up")


class Client:
    """One keep-alive connection to the balancer."""

    def __init__(self):
        self.stream = socket.create_connection(("127.0.0.1", LISTEN), 20)
        self.stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get(self):
        """The fields of the answer, by their names in small letters."""
        self.stream.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        data = b""
        while b"\r\n\r\n" not in data:
            data += self.receive()
        head, _, body = data.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        if " 200 " not in f"{status} ":
            raise Unmeasured(f"the balancer said {status}")
        fields = {name.lower(): value.strip() for name, _, value in (l.partition(":") for l in lines)}
        while len(body) < int(fields["content-length"]):
            body += self.receive()
        return fields

    def receive(self):
        data = self.stream.recv(65536)
        if not data:
            raise Unmeasured("the balancer closed the connection")
        return data

    def close(self):
        self.stream.close()


def get_once():
    client = Client()
    try:
        return client.get()
    finally:
        client.close()


def first_answer(limit=20):
    """Waits until the balancer listens, and then for its answer."""
    end = time.monotonic() + limit
    while True:
        try:
            return get_once()
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise Unmeasured(f"nobody listened within {limit} s") from None
            time.sleep(0.0005)


def spans(title, first, then, key):
    return Row(
        title,
        [Bar(key, "≤", first, f"{first} ms")],
        [Bar(key, "≤", then, f"{then} ms")],
    )


def measured(row, measure):
    """A row whose only figure is a list of milliseconds."""
    try:
        row.figures["ms"] = Figure(measure(), "ms", 1)
    except (Unmeasured, OSError) as why:
        row.lacks[ALL] = str(why)
    return row


def everyday(lbdev, load_program, scratch, rounds):
    demo = Project(lbdev, scratch / "demo")
    rows = [
        measured(
            spans("`lbdev demo`: from the command to the first answer", 150, 80, "ms"),
            lambda: [starts(demo) for _ in range(rounds)],
        )
    ]
    with running_demo(demo) as why_not:
        for title, measure in [
            ("`lbdev status`, the whole command", lambda: [demo.timed("status") for _ in range(rounds * 2)]),
            ("`lbdev kill`, the whole command", lambda: [kills(demo, n) for n in range(rounds)]),
        ]:
            row = spans(title, 30, 15, "ms")
            if why_not:
                row.lacks[ALL] = why_not
            rows.append(row if why_not else measured(row, measure))
        # What bash does for Tab: `lbdev kill 8` is typed, and the backends that run are asked for.
        asks = {"LBDEV_COMPLETE": "bash", "_CLAP_COMPLETE_INDEX": "2", "_CLAP_COMPLETE_COMP_TYPE": "9"}
        for title, bar, words, env in [
            ("`lbdev status` beyond an empty program", 15, ["status"], {}),
            ("`lbdev --help` beyond an empty program", 10, ["--help"], {}),
            ("a shell's completion beyond an empty program", 30, ["--", "lbdev", "kill", "8"], asks),
        ]:
            row = spans(title, bar, bar / 2, "ms")
            if why_not:
                row.lacks[ALL] = why_not
            rows.append(
                row
                if why_not
                else measured(
                    row,
                    lambda words=words, env=env: [
                        demo.beyond_empty(*words, **env) for _ in range(rounds * 2)
                    ],
                )
            )
        row = spans("SIGKILL of a backend to its leaving the rotation", 5, 1, "ms")
        rows.append(row)
        if why_not:
            row.lacks[ALL] = why_not
        else:
            leaves(row, demo, rounds)
    row = spans("whole pool killed and started: first backend listens to first answer", 100, 20, "ms")
    pool = Project(lbdev, scratch / "pool")
    rows.append(measured(row, lambda: comes_back(pool, load_program, rounds)))
    return rows


def starts(project):
    """One start of the demo, whose end is not measured."""
    begun = time.perf_counter()
    with project.demo():
        first_answer()
        return (time.perf_counter() - begun) * 1000


@contextmanager
def running_demo(project):
    """The demo while the block runs; yields why there is none."""
    with project.demo():
        try:
            first_answer()
            project.until_all_up()
            why_not = None
        except (Unmeasured, OSError) as why:
            why_not = str(why)
        yield why_not


def kills(project, number):
    port = str(PORTS[number % len(PORTS)])
    took = project.timed("kill", port)
    project.run("start", port)
    return took


def leaves(row, project, rounds):
    """After how long a silence a request was not sent to who had died, in most trials.

    The order is exact, so it is known whose turn it is. Its process is killed; after a while in which no request could
    have found that out, one is sent. If its only attempt is at the next in line, the dead one had left the rotation.
    """
    try:
        for after in AFTER:
            moments = [gone_after(project, after, number) for number in range(rounds)]
            left = [moment for moment in moments if moment is not None]
            if 2 * len(left) > rounds and "ms" not in row.figures:
                row.figures["ms"] = Figure([median(left)], "ms")
            if len(left) == rounds:
                row.notes[f"in each of {rounds} trials after"] = Figure([median(left)], "ms")
                return
    except (Unmeasured, OSError, KeyError) as why:
        row.lacks[ALL] = str(why)
        return
    row.notes[f"{rounds - len(left)} of {rounds} were still in it after"] = Figure([AFTER[-1]], "ms")
    if not row.figures:
        row.lacks[ALL] = f"most were still in it after {AFTER[-1]:g} ms"


def gone_after(project, after, number):
    """Milliseconds from the signal to the request if that did not go to the dead one; None if it did."""
    victim = PORTS[number % len(PORTS)]
    before = PORTS[(number - 1) % len(PORTS)]
    pid = project.backends()[victim]["pid"]
    client = Client()
    try:
        for _ in range(2 * len(PORTS)):
            if client.get()["x-lbdev-backend"].endswith(f":{before}"):
                break
        begun = time.perf_counter()
        os.kill(pid, signal.SIGKILL)
        # Asleep, not in a loop: whoever is to notice the death may need the core.
        time.sleep(after / 1000)
        now = time.perf_counter()
        fields = client.get()
    finally:
        client.close()
        project.run("start", str(victim))
        project.until_all_up()
    if fields["x-lbdev-backend"].endswith(f":{victim}"):
        raise Unmeasured("the killed backend answered: the order is not what it was taken for")
    return (now - begun) * 1000 if fields["x-lbdev-attempts"] == "1" else None


def comes_back(project, program, rounds):
    """Kills all backends, lets a request wait, starts them; each backend writes down when it listens."""
    marks = [project.folder / f"listens-{port}" for port in PORTS]
    command = f"{program} backend {{port}} 1 {project.folder}/listens-{{port}}"
    (project.folder / "lbdev.toml").write_text(
        f"[services.web]\ncommand = {json.dumps(command)}\nports = \"{PORTS.start}-{PORTS.stop - 1}\"\n"
    )
    samples = []
    with project.start("up"):
        first_answer()
        project.until_all_up()
        for _ in range(rounds):
            project.run("kill", "all")
            for mark in marks:
                mark.unlink()
            answered = []

            def wait():
                try:
                    get_once()
                    answered.append(time.monotonic_ns())
                except (Unmeasured, OSError) as why:
                    answered.append(why)

            waiting = threading.Thread(target=wait)
            waiting.start()
            project.run("start", "all")
            waiting.join()
            if not isinstance(answered[0], int):
                raise Unmeasured(f"the waiting request: {answered[0]}")
            listens = min(int(mark.read_text()) for mark in marks if mark.exists())
            samples.append((answered[0] - listens) / 1e6)
    return samples
