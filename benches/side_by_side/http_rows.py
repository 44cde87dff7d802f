"""What a request costs beside the others, and how that grows."""

from .load import FIRST_BACKEND, ratios
from .machine import Unmeasured, memory
from .table import ALL, Bar, Figure, Row

NAMES = {"nginx": "nginx", "haproxy": "HAProxy"}


def against(peer, limit, sign="≤"):
    return Bar(peer, sign, limit, f"{limit:.2f} × {NAMES[peer]}")


def both(limit):
    return [against("nginx", limit), against("haproxy", limit)]


COST = [
    (
        "CPU per request, 100 B, 64 clients",
        {"connections": 64},
        [against("nginx", 1.05), against("haproxy", 1.0)],
        [against("nginx", 0.85)],
    ),
    (
        "CPU per request, 10 KiB, 64 clients",
        {"connections": 64, "path": "/b/10240"},
        [against("nginx", 1.15)],
        [against("nginx", 0.95)],
    ),
    (
        "CPU per request, 1 MiB, 8 clients",
        {"connections": 8, "path": "/b/1048576"},
        both(0.6),
        both(0.5),
    ),
    (
        "CPU per request, a new connection each, 16 clients",
        {"connections": 16, "close": True},
        both(1.1),
        both(1.0),
    ),
]


def cost(load, proxies, wanted):
    """CPU per request of all kinds, and the 99th percentile of the first of them."""
    rows = []
    slowest = Row(
        "p99, 64 clients", [against("nginx", 1.15)], [against("nginx", 1.0)]
    )
    for title, course, first, then in COST:
        row = Row(title, first, then)
        rows.append(row)
        try:
            results = load.interleaved(proxies, **course)
        except Unmeasured as why:
            row.lacks[ALL] = str(why)
            continue
        compare(row, results, "cpu_us", "µs", 1, wanted)
        if not slowest.figures and not slowest.lacks:
            compare(slowest, results, "p99_us", "µs", 0, wanted)
    return [*rows, slowest]


def compare(row, results, quantity, unit, digits, wanted):
    """Fills a row with the ratios to each peer; its own figures are the notes."""
    for name, samples in ratios(results, quantity).items():
        row.figures[name] = Figure(samples, f"× {NAMES[name]}")
    for peer in NAMES:
        if peer not in row.figures:
            row.lacks[peer] = "it is not here" if peer in wanted else "not asked for"
    for name, samples in results.items():
        label = "lbdev" if name == "builtin" else name
        row.notes[label] = Figure([sample[quantity] for sample in samples], unit, digits)


GROWTH = Bar("nginx", "≤", 1.0, "nginx's growth")


def growth(load, engines):
    """How the cost of a request grows with backends and with clients, over how nginx's does."""
    rows = [
        Row("1 → 64 backends: growth of CPU per request", [GROWTH], []),
        Row("1 → 2,048 clients: growth of CPU per request", [GROWTH], []),
    ]
    if not {"builtin", "nginx"} <= set(engines.names):
        for row in rows:
            row.lacks["nginx"] = "it takes lbdev and nginx"
        return rows
    proxies, few, many = [], {}, {}
    try:
        for name in ("builtin", "nginx"):
            for count, into in ((1, few), (64, many)):
                into[name] = engines.start(name, range(FIRST_BACKEND, FIRST_BACKEND + count))
                proxies.append(into[name])
        grown(rows[0], load, [(few, {"connections": 64}), (many, {"connections": 64})])
        grown(rows[1], load, [(many, {"connections": 1}), (many, {"connections": 2048, "warmup": 0.5})])
    finally:
        for proxy in proxies:
            proxy.stop()
    return rows


def grown(row, load, ends):
    """Both ends of a growth, round by round."""
    growths = {"builtin": [], "nginx": []}
    try:
        for _ in range(load.rounds):
            for name, samples in growths.items():
                small, large = (load.once(at[name], **course)["cpu_us"] for at, course in ends)
                samples.append(large / small)
    except Unmeasured as why:
        row.lacks[ALL] = str(why)
        return
    over = [ours / theirs for ours, theirs in zip(growths["builtin"], growths["nginx"])]
    row.figures["nginx"] = Figure(over, "× nginx's")
    row.notes["lbdev"] = Figure(growths["builtin"], "×")
    row.notes["nginx"] = Figure(growths["nginx"], "×")


def held_memory(load, engines):
    """Memory of a fresh lbdev that was warmed up, and with a thousand connections. The peers' are notes."""
    row = Row(
        "memory, idle / 1,000 connections",
        [Bar("idle", "≤", 12, "12 MiB"), Bar("held", "≤", 30, "30 MiB")],
        [Bar("idle", "≤", 8, "8 MiB"), Bar("held", "≤", 20, "20 MiB")],
    )
    for name in engines.names:
        try:
            proxy = engines.start(name, range(FIRST_BACKEND, FIRST_BACKEND + 4))
        except Unmeasured as why:
            row.lacks[name] = str(why)
            continue
        try:
            load.once(proxy, seconds=0.2, warmup=0.05, connections=8)
            idle = memory(proxy.pids())
            with load.held(proxy, 1000):
                held = memory(proxy.pids())
        except Unmeasured as why:
            row.lacks[name] = str(why)
            continue
        finally:
            proxy.stop()
        if name == "builtin":
            row.figures["idle"] = Figure([idle], "MiB", 1)
            row.figures["held"] = Figure([held], "MiB", 1)
        else:
            row.notes[f"{name} idle"] = Figure([idle], "MiB", 1)
            row.notes[f"{name} held"] = Figure([held], "MiB", 1)
    return [row]
