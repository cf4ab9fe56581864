"""Agents that do as they are told, one step at a time: told_agents.py STEPS.json.

The steps are [agent, action, arguments...] and are done in order, each by its agent's process:
`ask` calls the model; `write FILE`, `read FILE` and `delete FILE` it does itself, `run COMMAND...`
by a program that it starts, `start COMMAND...` by one that it does not wait for; `await FILE` waits
for a file to be there.
"""

import json
import os
import ssl
import subprocess
import sys
import time
import urllib.request
from pathlib import Path


def ask(name, history):
    history.append({"role": "user", "content": f"id={name} what next"})
    request = urllib.request.Request(
        os.environ["OPENAI_BASE_URL"] + "/chat/completions",
        json.dumps({"model": "gpt-5-mini", "messages": history}).encode(),
        {"content-type": "application/json", "authorization": "Bearer sk-dummy"},
    )
    with urllib.request.urlopen(request, context=ssl.create_default_context()) as answer:
        history.append(json.load(answer)["choices"][0]["message"])


def agent(name):
    history, started = [], []
    for line in sys.stdin:
        action, *words = json.loads(line)
        if action == "ask":
            ask(name, history)
        elif action == "write":
            Path(words[0]).write_text(f"{name} wrote this at {time.monotonic()}\n")
        elif action == "read":
            Path(words[0]).read_text()
        elif action == "delete":
            os.unlink(words[0])
        elif action == "run":
            subprocess.run(words, stdin=subprocess.DEVNULL, stdout=sys.stderr)
        elif action == "start":
            started.append(subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=sys.stderr))
        elif action == "await":
            while not Path(words[0]).exists():
                time.sleep(0.02)
        print("done", flush=True)
    for one in started:
        one.wait()


def main():
    steps = json.loads(Path(sys.argv[1]).read_text())
    agents = {
        name: subprocess.Popen(
            [sys.executable, __file__, sys.argv[1], name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in dict.fromkeys(step[0] for step in steps)
    }
    for name, *step in steps:
        agents[name].stdin.write(json.dumps(step) + "\n")
        agents[name].stdin.flush()
        if agents[name].stdout.readline() != "done\n":
            sys.exit(f"{name} failed: {step}")
    for one in agents.values():
        one.communicate(timeout=60)


agent(sys.argv[2]) if len(sys.argv) > 2 else main()
