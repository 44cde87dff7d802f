"""Django's runserver, over keep-alive: it writes an answer in small pieces, which a receiver's delayed ACK makes slow."""

from contextlib import ExitStack
from pathlib import Path
from statistics import median

from .machine import Running, Unmeasured
from .table import ALL, Bar, Figure, Row

FIRST = 18500
COUNT = 4
CLIENTS = 8


def django(load, engines, python):
    row = Row(
        "Django's runserver, keep-alive, 8 clients: requests per second",
        [
            Bar("rate", "≥", 1.5, "1.50 × nginx's best setting"),
            Bar("p50", "<", 1.6, "1.6 ms at the median"),
        ],
        [Bar("rate", "≥", 1.8, "1.80 ×")],
    )
    try:
        measure(row, load, engines, python)
    except Unmeasured as why:
        row.lacks[ALL] = str(why)
    return [row]


def measure(row, load, engines, python):
    if python is None:
        raise Unmeasured("there is no Django: `tests/run --prepare` installs it")
    if "builtin" not in engines.names:
        raise Unmeasured("not asked for")
    site = Path(__file__).with_name("django_site.py")
    ports = range(FIRST, FIRST + COUNT)
    with ExitStack() as everything:
        for port in ports:
            server = Running([str(python), str(site), str(port)], load.scratch / f"django-{port}.log")
            everything.enter_context(server)
            server.until_listens(port)

        def start(name, called, **how):
            proxy = engines.start(name, ports, **how)
            everything.callback(proxy.stop)
            proxy.name = called
            return proxy

        proxies = [start("builtin", "lbdev")]
        if "nginx" in engines.names:
            proxies.append(start("nginx", "nginx, kept alive"))
            proxies.append(start("nginx", "nginx, a new connection each", kept_alive=False))
        results = load.interleaved(proxies, connections=CLIENTS, path="/")
    rates = {name: [one["per_second"] for one in runs] for name, runs in results.items()}
    for name, samples in rates.items():
        row.notes[name] = Figure(samples, "/s", 0)
    peers = [samples for name, samples in rates.items() if name != "lbdev"]
    if peers:
        best = max(peers, key=median)
        over = [ours / theirs for ours, theirs in zip(rates["lbdev"], best)]
        row.figures["rate"] = Figure(over, "× nginx's best")
    else:
        row.lacks["nginx"] = "it is not here"
    row.figures["p50"] = Figure([one["p50_us"] / 1000 for one in results["lbdev"]], "ms")
