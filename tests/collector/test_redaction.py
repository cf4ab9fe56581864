from __future__ import annotations

import json
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from collector.redaction import Redactor
from probes import frames
from probes.events import Direction, ProcessExecuted, ProcessSeen
from tests.collector.http.transcripts import pieces
from tests.frames import (
    API_KEY,
    CONNECTION,
    SALT,
    answer,
    ask,
    closed,
    executed,
    payload,
    plain_data,
    streamed_answer,
    text,
    user,
)

MARK = re.compile(rb"\[redacted:[0-9a-f]{8}\]")
JWT = b".".join(
    (
        b"eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9",
        b"eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkFnZW50In0",
        b"Q0hBTkdFTUVfc2lnbmF0dXJlX29mX2FfdG9rZW4" * 8,
    )
)
KEYS = (
    API_KEY,
    b"sk-proj-Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4z",
    b"ghp_1234567890abcdefghijABCDEFGHIJ123456",
    b"github_pat_11ABCDEFG0aBcDeFgHiJkLmNoPqRsTuV",
    b"AKIAIOSFODNN7EXAMPLE",
    b"AIzaSyA-1234567890abcdefghijklmnopqrstu",
    b"xoxb-123456789012-abcdefABCDEF",
    b"hf_abcdefghijklmnopqrstuvwxyzABCDEF",
    b"gsk_abcdefghijklmnopqrstuvwxyz0123456789",
    b"glpat-abcdefgh_IJKLMNOPqr",
    b"npm_abcdefghijklmnopqrstuvwxyz0123456789",
    b"ya29.a0AfH6SMBxyz-1234567890_abcdef",
    b"xai-abcdefghijklmnopqrstuvwxyz",
    JWT,
)
PEM = (
    "-----BEGIN RSA PRIVATE KEY-----\n"
    "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,8F1C3A5B\n\n"
    + "MIIEpAIBAAKCAQEAx7fWq1+hG/ab3kLmNoPqRsTuVwXyZ0123456789abcdefgh\n" * 20
    + "-----END RSA PRIVATE KEY-----\n"
)


def masked(*reads: bytes, direction: int = Direction.WRITE) -> bytes:
    """What is left of one direction of a connection that was captured in these reads."""
    redactor = Redactor(SALT)
    return b"".join(payload(redactor.frame(plain_data(data, direction))) for data in reads)


def again(result: bytes, reads: list[bytes]) -> bytes:
    """The same, redacted a second time in reads of the same sizes."""
    sizes = [sum(map(len, reads[: number + 1])) for number in range(len(reads))]
    return masked(*pieces(result, sizes)) if result else b""


def parts_of(secret: bytes, size: int) -> set[bytes]:
    return {secret[at : at + size] for at in range(len(secret) - size + 1)}


# Heads


@pytest.mark.parametrize(
    "header",
    [
        b"Authorization: Bearer %s",
        b"authorization: Basic %s",
        b"AUTHORIZATION:%s",
        b"Proxy-Authorization: token %s",
        b"x-api-key: %s",
        b"api-key:\t%s",
        b"X-Goog-Api-Key: %s",
        b"Cookie: session=%s; theme=dark",
        b"Set-Cookie: id=%s; Path=/; HttpOnly",
        b"x-amz-security-token: %s",
    ],
)
def test_credential_headers_are_masked_and_the_rest_of_the_head_is_not(header: bytes) -> None:
    secret = b"7f3a-opaque/secret+value=="
    head = b"POST /v1/messages HTTP/1.1\r\nHost: h\r\n%s\r\nAccept: */*\r\n\r\n" % (header % secret)
    result = masked(head)
    assert len(result) == len(head)
    assert secret not in result
    assert MARK.search(result)
    assert result.startswith(b"POST /v1/messages HTTP/1.1\r\nHost: h\r\n")
    assert result.endswith(b"\r\nAccept: */*\r\n\r\n")


def test_a_short_secret_is_stars_alone() -> None:
    head = b"GET / HTTP/1.1\r\nx-api-key: hunter2\r\n\r\n"
    assert masked(head) == b"GET / HTTP/1.1\r\nx-api-key: *******\r\n\r\n"


def test_query_parameters_are_masked_by_name() -> None:
    target = b"/v1beta/models?alt=sse&key=opaque-value-1&pageSize=5&access_token=opaque-2#x"
    result = masked(b"GET %s HTTP/1.1\r\nHost: h\r\n\r\n" % target)
    assert b"?alt=sse&key=**************&pageSize=5&access_token=********#x" in result


def test_a_url_in_a_body_sent_with_its_head_leaves_the_json_readable() -> None:
    body = json.dumps({"url": "https://h/?key=abc", "next": ["&token=x", 1]}).replace(" ", "")
    head = f"POST / HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n"
    result = masked((head + body).encode())
    assert json.loads(result.partition(b"\r\n\r\n")[2]) == {
        "url": "https://h/?key=***",
        "next": ["&token=*", 1],
    }


def test_fingerprints_count_keys_and_do_not_cross_salts() -> None:
    def mark(salt: bytes, head: bytes) -> bytes:
        found = MARK.search(payload(Redactor(salt).frame(plain_data(head))))
        assert found
        return found[0]

    as_bearer = b"GET / HTTP/1.1\r\nAuthorization: Bearer %s\r\n\r\n" % API_KEY
    as_api_key = b"POST /v1 HTTP/1.1\r\nHost: h\r\nX-Api-Key: %s\r\n\r\n" % API_KEY
    other = as_api_key.replace(b"api03", b"api04")
    assert mark(SALT, as_bearer) == mark(SALT, as_api_key)
    assert mark(SALT, as_api_key) != mark(SALT, other)
    assert mark(SALT, as_api_key) != mark(b"another salt", as_api_key)


HEAD = (
    b"POST /v1/complete?beta=true&key=Qx7-opaque-query-secret-1&v=2 HTTP/1.1\r\n"
    b"Host: llm.example\r\n"
    b"x-api-key: opaqueZ9y8x7w6v5u4t3s2\r\n"
    b"Content-Length: 2\r\n"
    b"Authorization: Bearer pQ5rS6tU7vW8xY9zA0bC1dD2\r\n\r\n{}"
)
HEAD_SECRETS = (
    b"Qx7-opaque-query-secret-1",
    b"opaqueZ9y8x7w6v5u4t3s2",
    b"pQ5rS6tU7vW8xY9zA0bC1dD2",
)


@given(st.sets(st.integers(1, len(HEAD) - 1), max_size=12))
def test_a_head_cut_anywhere_gives_nothing_away(cuts: set[int]) -> None:
    reads = pieces(HEAD, cuts)
    result = masked(*reads)
    assert len(result) == len(HEAD)
    for secret in HEAD_SECRETS:
        assert not any(part in result for part in parts_of(secret, 4)), result
    for innocent in (b"/v1/complete?beta=true&key=", b"&v=2 HTTP/1.1\r\nHost: llm.example\r\n"):
        assert innocent in result
    assert result.endswith(b"\r\n\r\n{}")
    scheme = HEAD.index(b"Bearer ")
    if not cuts & set(range(scheme + 1, scheme + 7)):  # such a part is masked for the secret
        assert again(result, reads) == result


def test_a_head_read_byte_by_byte_gives_nothing_away() -> None:
    result = masked(*(HEAD[at : at + 1] for at in range(len(HEAD))))
    assert not any(part in result for secret in HEAD_SECRETS for part in parts_of(secret, 4))


def test_every_head_on_a_kept_connection_is_masked() -> None:
    redactor = Redactor(SALT)
    body = b'{"prompt": "%s"}' % (b"a long story. " * 2000)
    for _ in range(3):
        head = [payload(redactor.frame(plain_data(data))) for data in (HEAD[:90], HEAD[90:])]
        assert not any(secret in b"".join(head) for secret in HEAD_SECRETS)
        for data in (body[:16384], body[16384:]):
            assert payload(redactor.frame(plain_data(data))) == data


def test_a_header_longer_than_any_read_is_masked_to_its_end() -> None:
    cookie = b"".join(b"%05d" % number for number in range(10_000))
    head = b"GET / HTTP/1.1\r\nCookie: %s\r\nAccept: */*\r\n\r\n" % cookie
    result = masked(*pieces(head, range(16384, len(head), 16384)))
    assert not re.search(rb"\d{3}", result)
    assert result.endswith(b"*\r\nAccept: */*\r\n\r\n")


@given(st.integers(1, 80))
def test_directions_and_connections_do_not_mix(cut: int) -> None:
    redactor = Redactor(SALT)
    other = CONNECTION._replace(handle=0x7F00_2000)
    story = b'{"text": "no secret here"}'
    first = payload(redactor.frame(plain_data(HEAD[:cut])))
    assert payload(redactor.frame(plain_data(story, Direction.READ))) == story
    assert payload(redactor.frame(plain_data(story, key=other))) == story
    rest = payload(redactor.frame(plain_data(HEAD[cut:])))
    assert not any(secret in first + rest for secret in HEAD_SECRETS)


# Bodies


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key[:8].decode())
@pytest.mark.parametrize(
    "around",
    ['{"text": "%s"}', '{"text": "the key:\\n%s\\nis bad"}', '{"a": "\\u003c%s\\u003e"}', "%s, x"],
)
def test_known_keys_in_bodies_are_masked_also_behind_json_escapes(key: bytes, around: str) -> None:
    body = (around % key.decode()).encode()
    result = masked(body)
    assert len(result) == len(body)
    assert not any(part in result for part in parts_of(key, 6))
    before, _, after = around.encode().partition(b"%s")
    assert result.startswith(before)
    assert result.endswith(after)
    if around.startswith("{"):
        json.loads(result)


def test_a_bearer_token_in_escaped_shell_text() -> None:
    command = 'curl -H "Authorization: Bearer Zm9vYmFyYmF6cXV4MTIzNA==" https://h/v1'
    body = json.dumps({"input": {"command": command, "again": json.dumps(command)}}).encode()
    result = masked(body)
    assert b"Zm9vYmFy" not in result
    assert json.loads(result)["input"]["command"].endswith('" https://h/v1')


def test_private_keys_are_masked_and_the_json_around_them_stays() -> None:
    body = json.dumps({"content": f"$ cat id_rsa\n{PEM}$ ls\n", "more": 1}).encode()
    result = masked(body)
    assert b"MIIE" not in result
    assert b"8F1C3A5B" not in result
    assert b"-----END RSA PRIVATE KEY-----\\n$ ls" in result
    assert json.loads(result)["more"] == 1


@pytest.mark.parametrize("quoted", ['grep "-----BEGIN PRIVATE KEY-----" *.pem', "'-----BEGIN'"])
def test_talk_about_private_keys_does_not_swallow_the_document(quoted: str) -> None:
    body = json.dumps({"a": quoted, "b": "stays, whatever comes before"}).encode()
    assert json.loads(masked(body)) == json.loads(body)


SECRETS_IN_BODIES = (*KEYS[:2], KEYS[4], JWT, b"Bearer Zm9vYmFyYmF6cXV4MTIzNDU2")


@given(st.sampled_from(SECRETS_IN_BODIES), st.integers(-20, 420), st.integers(0, 3))
@settings(max_examples=60)
def test_a_key_over_the_kernels_chunk_boundary_is_masked_in_both(
    secret: bytes, before: int, filler: int
) -> None:
    """`before`: how much of the key lies before byte 16384 of the call."""
    story = (b"so it goes, " * 2000, b"QUJD" * 6000, b'\\n{\\"x\\": 1},' * 2000, b"-" * 24000)
    begin = 16384 - min(before, len(secret))
    body = story[filler][: begin - 1] + b'"' + secret + b'"' + story[filler][:20_000]
    result = masked(*pieces(body, range(16384, len(body), 16384)))
    value = secret.removeprefix(b"Bearer ")
    assert len(result) == len(body)
    left = result[begin : begin + len(secret)]
    assert not any(part in left for part in parts_of(value, 6)), left
    assert result[: begin - 1] == body[: begin - 1]
    assert result[begin + len(secret) :] == body[begin + len(secret) :]


@given(
    st.sampled_from((*SECRETS_IN_BODIES, PEM.replace("\n", "\\n").encode())),
    st.sets(st.integers(1, 2000), max_size=40),
)
@settings(max_examples=60)
def test_a_body_cut_anywhere_gives_no_key_away(secret: bytes, cuts: set[int]) -> None:
    body = b'{"role": "user", "content": "use this: %s and go on"}' % secret
    reads = pieces(body, cuts)
    result = masked(*reads)
    assert len(result) == len(body)
    value = secret.removeprefix(b"Bearer ").partition(b"-----END")[0].rpartition(b"-----")[2]
    assert not any(part in result for part in parts_of(value, 16)), result
    assert again(result, reads) == result


def test_keys_that_are_read_byte_by_byte() -> None:
    body = b'{"content": "%s"}' % JWT
    result = masked(*(body[at : at + 1] for at in range(len(body))))
    assert not any(part in result for part in parts_of(JWT, 8))


INNOCENT = (
    ask([user("Explain risk-averse task-list-management and disk-usage-of-everything.")]).replace(
        API_KEY, b"\x00"
    ),
    answer(text("max_tokens=100, sk-short, ghp_tiny, AKIA, eyJhbGciOiJI and the bearer of news")),
    streamed_answer(["The ", "authorization", ": see the docs, ", "cookie", " jar"]),
    "日本語のテキスト — ünïcode 🐙 https://example.org/?q=1&page=2".encode(),
    bytes(range(256)) * 4,
)


@pytest.mark.parametrize("innocent", INNOCENT, ids=range(len(INNOCENT)))
def test_innocent_text_is_untouched(innocent: bytes) -> None:
    innocent = innocent.replace(b"X-Api-Key: \x00\r\n", b"")
    redactor = Redactor(SALT)
    before = plain_data(innocent)
    assert redactor.frame(before) is before


# Any bytes

_fragments = st.sampled_from(
    (*KEYS, *pieces(HEAD, range(0, len(HEAD), 25)), b"\r\n\r\n", b"\n", b'"', b" ")
)


@given(st.lists(st.one_of(_fragments, st.binary(max_size=40)), max_size=12))
@settings(max_examples=80)
def test_any_stream_keeps_its_length_and_is_left_alone_by_a_second_pass(
    fragments: list[bytes],
) -> None:
    reads = [b'"' + fragment for fragment in fragments]
    first = masked(*reads)
    assert len(first) == sum(map(len, reads))
    twice = Redactor(SALT)
    at = 0
    for data in reads:
        piece = first[at : at + len(data)]
        assert payload(twice.frame(plain_data(piece))) == piece
        at += len(data)


@given(st.integers(0, 255), st.binary(max_size=200))
@example(frames.PROCESS_SEEN, b"[]")
@example(frames.PROCESS_SEEN, b"{")
def test_frames_of_any_bytes_never_raise(kind: int, rest: bytes) -> None:
    header = frames.HEADER.pack(frames.HEADER.size + len(rest), kind, frames.VERSION, 0, 0)
    result = Redactor(SALT).frame(header + rest)
    if kind != frames.FILE_CONTENT:
        assert len(result) == len(header + rest)


def test_state_does_not_outlive_connections() -> None:
    redactor = Redactor(SALT)
    for epoch in range(200):
        key = CONNECTION._replace(epoch=epoch)
        redactor.frame(plain_data(HEAD[:100], key=key))
        redactor.frame(plain_data(b"HTTP/1.1 200 OK\r\n", Direction.READ, key=key))
        assert redactor.open_streams == 2
        redactor.frame(closed(17, 100, key))
    assert redactor.open_streams == 0


def test_memory_of_an_open_stream_is_bounded() -> None:
    redactor = Redactor(SALT)
    redactor.frame(plain_data(b"GET / HTTP/1.1\r\nCookie: "))
    for _ in range(200):
        redactor.frame(plain_data(b"x" * 16384))
    (stream,) = redactor._streams.values()
    assert len(stream.tail) <= 16384


# Processes


def argv_of(*argv: bytes) -> tuple[str, ...]:
    event = frames.decode(Redactor(SALT).frame(executed(1, 0, argv)))
    assert isinstance(event, ProcessExecuted)
    assert not event.argv_truncated
    assert list(map(len, event.argv)) == list(map(len, argv))
    return event.argv


@pytest.mark.parametrize(
    ("argv", "secret", "stays"),
    [
        (("tool", "--api-key", "opaque-1", "--verbose"), "opaque-1", "--verbose"),
        (("tool", "--token=opaque-2", "x"), "opaque-2", "x"),
        (("tool", "--password", "two words", "x"), "two words", "x"),
        (("env", "OPENAI_API_KEY=opaque-3", "python"), "opaque-3", "OPENAI_API_KEY="),
        (("env", "DB_PASSWORD=my pass phrase"), "pass phrase", "DB_PASSWORD="),
        (("env", "SECRET=line 1\nline 2"), "line 2", "SECRET="),
        (("bash", "-c", "export API_TOKEN=opaque-4; make && ls"), "opaque-4", "; make && ls"),
        (("bash", "-lc", "cd /x\nMY_SECRET='two words' ./go"), "two words", "' ./go"),
        (("sh", "-c", 'curl -H "x-api-key: opaque-5" https://h'), "opaque-5", '" https://h'),
        (("sh", "-c", "gh auth --with-token opaque-6 | cat"), "opaque-6", " | cat"),
        (("curl", "-H", "Authorization: Bearer opaque-7"), "opaque-7", "Authorization: Bearer "),
        (("curl", "https://h/v1?key=opaque-8&alt=sse"), "opaque-8", "&alt=sse"),
        (("echo", API_KEY.decode()), API_KEY.decode(), "echo"),
    ],
)
def test_secrets_in_arguments(argv: tuple[str, ...], secret: str, stays: str) -> None:
    result = argv_of(*(part.encode() for part in argv))
    assert not any(secret in part for part in result)
    assert any(stays in part for part in result)
    assert argv_of(*(part.encode() for part in result)) == result


@pytest.mark.parametrize(
    "argv",
    [
        (b"python", b"train.py", b"--max-tokens=100", b"--tokenizer", b"gpt2"),
        (b"claude", b"--max-tokens", b"4096", b"-p", b"how do tokens work: a guide"),
        (b"bash", b"-c", b"ls -la | grep key; echo done"),
        (b"kubectl", b"get", b"secret"),
        (b"", b"", b""),
    ],
)
def test_innocent_arguments(argv: tuple[bytes, ...]) -> None:
    assert argv_of(*argv) == tuple(part.decode() for part in argv)


def test_the_same_key_has_one_fingerprint_in_arguments_and_headers() -> None:
    in_argv = argv_of(b"curl", b"-H", b"Authorization: Bearer " + API_KEY)[2]
    in_flag = argv_of(b"tool", b"--api-key=" + API_KEY)[1]
    in_head = masked(b"GET / HTTP/1.1\r\nAuthorization: Bearer %s\r\n\r\n" % API_KEY)
    found = {MARK.findall(part)[0] for part in (in_argv.encode(), in_flag.encode(), in_head)}
    assert len(found) == 1


def test_a_process_that_ran_before_is_masked_too() -> None:
    seen = ProcessSeen(5, 10, 20, 1, "tool", None, ("tool", "--token", "opaqué-1"), "/", 1000)
    event = frames.decode(Redactor(SALT).frame(frames.encode(seen)))
    assert isinstance(event, ProcessSeen)
    assert event.argv[:2] == ("tool", "--token")
    assert set(event.argv[2]) == {"*"}
    assert (event.pid, event.ktime_ns, event.cwd) == (10, 5, "/")


@given(st.lists(st.one_of(_fragments, st.binary(max_size=30)), max_size=6))
def test_arguments_of_any_bytes(argv: list[bytes]) -> None:
    before = executed(1, 0, argv)
    once = Redactor(SALT).frame(before)
    assert len(once) == len(before)
    assert Redactor(SALT).frame(once) == once


# Text


def test_text_is_masked_as_bodies_are() -> None:
    redactor = Redactor(SALT)
    joined = f'{{"command": "echo {API_KEY.decode()} — naïve 🐙"}}'
    result = redactor.redact_text(joined)
    assert API_KEY.decode() not in result
    assert f"[redacted:{redactor.fingerprint(API_KEY)}]" in result
    assert result.endswith(' — naïve 🐙"}')
    assert redactor.redact_text(result) == result


@given(st.text(max_size=200))
def test_any_text_survives(words: str) -> None:
    redactor = Redactor(SALT)
    assert redactor.redact_text(words) == words or "*" in redactor.redact_text(words)
    assert len(redactor.redact_text("sk-" + words)) >= 3


def without_bodies(*reads: bytes) -> list[bytes]:
    redactor = Redactor(SALT, bodies=False)
    return [payload(redactor.frame(plain_data(read))) for read in reads if read]


def test_without_bodies_a_head_is_masked_wherever_it_is_cut() -> None:
    for cut in range(len(HEAD)):
        result = b"".join(without_bodies(HEAD[:cut], HEAD[cut:]))
        assert len(result) == len(HEAD)
        for secret in HEAD_SECRETS:
            assert secret not in result


def test_without_bodies_a_body_passes_and_the_next_head_is_masked() -> None:
    body = b'{"text": "sk-0123456789abcdefghij"}'
    first = b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(body)
    following = b"GET / HTTP/1.1\r\nAuthorization: Bearer secret-of-the-next-one\r\n\r\n"
    result = without_bodies(first, body, following)
    assert result[:2] == [first, body]
    assert len(result[2]) == len(following)
    assert b"secret-of-the-next-one" not in result[2]


def test_of_an_aws_signature_the_key_stays_countable() -> None:
    """The signature differs with every request, the key's name does not."""
    redactor = Redactor(SALT)
    marks = []
    for number in range(2):
        signature = b"%064x" % (number + 12345)
        head = (
            b"POST /model/m/converse HTTP/1.1\r\nauthorization: AWS4-HMAC-SHA256 "
            b"Credential=AKIAIOSFODNN7EXAMPLE/20260101/eu-west-1/bedrock/aws4_request, "
            b"SignedHeaders=host;x-amz-date, Signature=" + signature + b"\r\n\r\n"
        )
        masked = payload(redactor.frame(plain_data(head, position=number * len(head))))
        assert len(masked) == len(head)
        assert signature not in masked
        assert b"AKIAIOSFODNN7EXAMPLE" not in masked
        assert b"/20260101/eu-west-1/bedrock/aws4_request, SignedHeaders=host" in masked
        marks.append(MARK.findall(masked))
        live = Redactor(SALT, bodies=False)
        value = live.header_value(b"authorization", head.split(b": ")[1].split(b"\r\n")[0])
        assert MARK.findall(value) == marks[-1]
    assert marks[0][0] == marks[1][0]
    assert marks[0][1] != marks[1][1]


def test_without_bodies_heads_alone_are_searched() -> None:
    redactor, position = Redactor(SALT, bodies=False), 0
    one = b"POST /v1?key=abcdefgh HTTP/1.1\r\nx-api-key: %b\r\n\r\n" % API_KEY
    body = b'{"text": "%b"}' % API_KEY
    for data, kept in (
        (one + body, True),
        (body + b"\n" + one, False),
        (one + body + b"\nPOST /v1?key=abcdefgh HT", False),
        (b"TP/1.1\r\nauthorization: Bearer abcdefgh-abcdefgh\r\n\r\n" + body, True),
    ):
        masked = payload(redactor.frame(plain_data(data, position=position)))
        position += len(data)
        assert len(masked) == len(data)
        assert b"abcdefgh" not in masked
        assert masked.count(API_KEY) == (1 if kept else 0)
