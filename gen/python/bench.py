"""Measures calls a second of the client against a server that runs: `./bench --help`."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from latchkey_client import connect, session


def main() -> None:
    parser = argparse.ArgumentParser(prog="gen/python/bench", description=__doc__)
    parser.add_argument("--address", default="127.0.0.1:50051", help="of the gRPC listener")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--threads", type=int, default=32, help="in all processes together")
    options = parser.parse_args()

    with connect(options.address, api_key=os.environ.get("LATCHKEY_KEY")) as client:
        created = client.sessions.CreateSession(
            session.CreateSessionRequest(
                app="bench", user_id="bench", user_agent="gen/python/bench"
            )
        )
    threads = max(1, options.threads // options.processes)
    work = (options.address, created.token, threads, options.seconds)
    # A process that forks takes no connection along.
    context = multiprocessing.get_context("spawn")
    with context.Pool(options.processes) as pool:
        pool.starmap(measure, [(*work[:3], 0.5)] * options.processes, chunksize=1)
        rates = []
        for _ in range(options.rounds):
            rates.append(sum(pool.starmap(measure, [work] * options.processes, chunksize=1)))
            print(f"{rates[-1]:,.0f} calls/s")
    print(
        f"median {statistics.median(rates):,.0f} calls/s: GetSession, {options.processes} x"
        f" {threads} threads, {options.rounds} rounds of {options.seconds:g} s"
    )


def measure(address: str, token: str, threads: int, seconds: float) -> float:
    """Calls a second of this process."""
    request = session.GetSessionRequest(app="bench", token=token)
    with (
        connect(address, api_key=os.environ.get("LATCHKEY_KEY")) as client,
        ThreadPoolExecutor(threads) as pool,
    ):
        client.sessions.GetSession(request)
        started = time.monotonic()
        ends = started + seconds

        def call(_: Any) -> int:
            count = 0
            while time.monotonic() < ends:
                client.sessions.GetSession(request)
                count += 1
            return count

        count = sum(pool.map(call, range(threads)))
        return count / (time.monotonic() - started)


if __name__ == "__main__":
    main()
