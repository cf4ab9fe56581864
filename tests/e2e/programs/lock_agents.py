"""Agents that take turns at a lock file: lock_agents.py SCHEDULE.json DIRECTORY.

The schedule maps a name to [begin, hold] pairs, in seconds after a common start: the agent begins
to try for the lock then and keeps it so long. Before each it calls the model. Each agent is a
process and writes what it did to DIRECTORY/NAME.json, with its own clock's times: every try that
failed, when it had the lock, when it let go, when it began and ended. Reading it while waiting, as
agents do that look for a stale lock, is part of it.
"""

import json
import os
import ssl
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

RETRY_S = {"anna": 0.05, "bert": 0.04, "carl": 0.03}


def ask(history):
    body = {"model": "gpt-5-mini", "messages": history}
    request = urllib.request.Request(
        os.environ["OPENAI_BASE_URL"] + "/chat/completions",
        json.dumps(body).encode(),
        {"content-type": "application/json", "authorization": "Bearer sk-dummy"},
    )
    with urllib.request.urlopen(request, context=ssl.create_default_context()) as answer:
        return json.load(answer)["choices"][0]["message"]


def started():
    """When this process began, by its own clock (the kernel counts in hundredths here)."""
    stat = Path("/proc/self/stat").read_text()
    ticks = int(stat.rpartition(")")[2].split()[19])
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return time.monotonic() - age


def turn(lock, pause, hold):
    """Take the lock, keep it, let go."""
    tries = []
    while True:
        try:
            fd = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            break
        except FileExistsError:
            tries.append(time.monotonic())
        if len(tries) == 3:
            try:
                lock.read_text()
            except FileNotFoundError:
                pass
        time.sleep(pause)
    acquired = time.monotonic()
    os.write(fd, str(os.getpid()).encode())
    os.close(fd)
    time.sleep(hold)
    os.unlink(lock)
    return {"tries": tries, "acquired": acquired, "released": time.monotonic()}


def agent(name, plan, directory, start):
    log = {"pid": os.getpid(), "began": started(), "turns": []}
    history = [{"role": "user", "content": f"id={name} wants the lock"}]
    for begin, hold in plan:
        history.append(ask(history))
        history.append({"role": "user", "content": f"id={name} once more"})
        delay = start + begin - time.monotonic()
        if delay < 0:
            sys.exit(f"{name} is late by {-delay:.3f} s")
        time.sleep(delay)
        log["turns"].append(turn(directory / "build.lock", RETRY_S[name], hold))
    log["ended"] = time.monotonic()
    (directory / f"{name}.json").write_text(json.dumps(log))
    os._exit(0)


def main():
    schedule, directory = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    if len(sys.argv) > 3:
        agent(sys.argv[3], schedule[sys.argv[3]], directory, float(sys.argv[4]))
    start = time.monotonic() + 5
    agents = [
        subprocess.Popen([sys.executable, __file__, *sys.argv[1:], name, str(start)])
        for name in schedule
    ]
    sys.exit(max(one.wait() for one in agents))


main()
