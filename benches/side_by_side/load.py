"""The load generator (benches/load), and rounds of it."""

import json
import subprocess
from contextlib import contextmanager

from .machine import Running, Unmeasured, until

# The ports of the backends that everybody shares.
FIRST_BACKEND = 18000


class Load:
    """`program` is the built benches/load; `cpu` is where clients and backends run."""

    def __init__(self, program, scratch, rounds, seconds, cpu=None):
        self.program, self.scratch, self.cpu = str(program), scratch, cpu
        self.rounds, self.seconds = rounds, seconds

    def backends(self, count):
        running = Running(
            [self.program, "backend", str(FIRST_BACKEND), str(count)],
            self.scratch / "backends.log",
            self.cpu,
        )
        running.until_listens(FIRST_BACKEND + count - 1)
        return running

    def once(self, proxy, seconds=None, warmup=0.15, **course):
        """One window of load; `course` has the names of the program's options."""
        argv = [self.program, "clients", "--port", str(proxy.port), "--warmup", str(warmup)]
        argv += ["--seconds", str(seconds or self.seconds)]
        argv += ["--pids", ",".join(map(str, proxy.pids()))]
        for name, value in course.items():
            argv += [f"--{name}"] if value is True else [f"--{name}", str(value)]
        if self.cpu is not None:
            argv = ["taskset", "-c", str(self.cpu), *argv]
        done = subprocess.run(argv, capture_output=True, text=True)
        if done.returncode != 0:
            raise Unmeasured(f"{proxy.name}: {done.stderr.strip()}")
        result = json.loads(done.stdout)
        if result["broken"] or result["not_200"] or not result["requests"]:
            raise Unmeasured(
                f"{proxy.name}: {result['requests']} answered, {result['broken']} broken, "
                f"{result['not_200']} not 200"
            )
        return result

    def interleaved(self, proxies, **course):
        """By name a list of results, one a round; all are measured in turn."""
        results = {proxy.name: [] for proxy in proxies}
        for _ in range(self.rounds):
            for proxy in proxies:
                results[proxy.name].append(self.once(proxy, **course))
        return results

    @contextmanager
    def held(self, proxy, count):
        """`count` idle connections while the block runs."""
        holder = subprocess.Popen(
            [self.program, "hold", str(proxy.port), str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            if holder.stdout.readline().strip() != "holding":
                raise Unmeasured(f"{count} connections to {proxy.name}: {holder.stderr.read().strip()}")
            yield
        finally:
            holder.stdin.close()
            until(lambda: holder.poll() is not None, 10, "the connections were not let go")
            holder.stdout.close()
            holder.stderr.close()


def ratios(results, quantity, ours="builtin"):
    """By peer the ratios of each round of `quantity`."""
    return {
        name: [mine[quantity] / other[quantity] for mine, other in zip(results[ours], others)]
        for name, others in results.items()
        if name != ours and ours in results
    }
