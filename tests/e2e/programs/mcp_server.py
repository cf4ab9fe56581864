"""An MCP server over stdio, by hand: newline-delimited JSON-RPC 2.0, revision 2025-06-18.

    python mcp_server.py LEDGER

Tools: `echo` gives its text back, `fill` makes a text of so many bytes, `fail` is a tool error.
Every message that it writes goes to LEDGER, too: {"sender", "bytes", "sha256", "id", "method"}.
"""

import hashlib
import json
import sys

TOOLS = [
    {
        "name": "echo",
        "description": "Give a text back.",
        "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}},
    },
    {
        "name": "fill",
        "description": "Make a text of so many bytes.",
        "inputSchema": {"type": "object", "properties": {"size": {"type": "integer"}}},
    },
    {"name": "fail", "description": "Fail.", "inputSchema": {"type": "object"}},
]

ledger = open(sys.argv[1], "w", buffering=1)


def send(message):
    line = json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n"
    entry = {"sender": "server", "bytes": len(line), "sha256": hashlib.sha256(line).hexdigest()}
    entry |= {"id": message.get("id"), "method": message.get("method")}
    ledger.write(json.dumps(entry) + "\n")
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


def call(name, arguments):
    if name == "echo":
        return {"content": [{"type": "text", "text": arguments["text"]}], "isError": False}
    if name == "fill":
        return {"content": [{"type": "text", "text": "x" * arguments["size"]}], "isError": False}
    return {"content": [{"type": "text", "text": f"{name}: it failed"}], "isError": True}


for line in sys.stdin.buffer:
    request = json.loads(line)
    method, params = request.get("method"), request.get("params", {})
    if "id" not in request:
        continue  # a notification
    if method == "initialize":
        result = {
            "protocolVersion": params["protocolVersion"],
            "capabilities": {"tools": {"listChanged": False}},
            "serverInfo": {"name": "example-server", "version": "1.0.0"},
        }
    elif method == "tools/list":
        result = {"tools": TOOLS}
    elif method == "tools/call":
        progress = {"progressToken": request["id"], "progress": 1, "total": 1}
        send({"method": "notifications/progress", "params": progress})
        result = call(params["name"], params.get("arguments", {}))
    else:
        error = {"code": -32601, "message": f"Method not found: {method}"}
        send({"id": request["id"], "error": error})
        continue
    send({"id": request["id"], "result": result})
