"""An MCP client by hand: starts the server beside it with pipes and calls its tools.

    python mcp_client.py LEDGER [BIG_BYTES]

BIG_BYTES (default 1500000) is the size of one text in each direction. Every message that it
writes goes to LEDGER: {"sender", "bytes", "sha256", "id", "method"}; those that the server writes
go to LEDGER.server. Exits with 0 when every answer was the right one.
"""

import hashlib
import json
import os
import subprocess
import sys

ledger_path = sys.argv[1]
big_bytes = int(sys.argv[2]) if len(sys.argv) > 2 else 1_500_000
ledger = open(ledger_path, "w", buffering=1)
server = subprocess.Popen(
    [
        sys.executable,
        os.path.join(os.path.dirname(os.path.abspath(__file__)), "mcp_server.py"),
        ledger_path + ".server",
    ],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
)
count = 0


def send(message):
    line = json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n"
    entry = {"sender": "client", "bytes": len(line), "sha256": hashlib.sha256(line).hexdigest()}
    entry |= {"id": message.get("id"), "method": message.get("method")}
    ledger.write(json.dumps(entry) + "\n")
    server.stdin.write(line)
    server.stdin.flush()


def request(method, params=None):
    global count
    count += 1
    send({"id": count, "method": method, "params": params or {}})
    while True:
        answer = json.loads(server.stdout.readline())
        if answer.get("id") == count:
            return answer


def call(name, **arguments):
    return request("tools/call", {"name": name, "arguments": arguments})["result"]


started = request(
    "initialize",
    {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "example-client", "version": "1.0.0"},
    },
)
assert started["result"]["serverInfo"]["name"] == "example-server"
send({"method": "notifications/initialized"})
tools = request("tools/list")["result"]["tools"]
assert [tool["name"] for tool in tools] == ["echo", "fill", "fail"]
assert call("echo", text="Grüße, 大阪")["content"][0]["text"] == "Grüße, 大阪"
big = "y" * big_bytes
assert call("echo", text=big)["content"][0]["text"] == big
assert len(call("fill", size=big_bytes)["content"][0]["text"]) == big_bytes
assert call("fail")["isError"]
assert request("nothing/here")["error"]["code"] == -32601
server.stdin.close()
print(f"{count} requests answered")
sys.exit(server.wait())
