from __future__ import annotations

import json
import tomllib
from dataclasses import fields
from pathlib import Path

import anthropic
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

import collector.identity
from collector.http.events import Headers
from collector.identity import Identity, identify
from collector.llm.model import Json, JsonObject, LlmRequest
from tests.collector.llm.wire import anything

REQUEST = LlmRequest(request_model="m", stream=True)
CLAUDE = ("user-agent", "claude-cli/2.1.37 (external, cli)")
CODEX = ("user-agent", "codex_cli_rs/0.60.1 (Ubuntu 24.4.0; x86_64) xterm-256color")


@pytest.mark.parametrize(
    ("headers", "params", "expected"),
    [
        (
            (CLAUDE, ("x-claude-code-session-id", "s-1")),
            {"metadata": {"user_id": '{"session_id":"other"}'}},
            Identity("claude-code", "2.1.37", "s-1"),
        ),
        (
            (
                CLAUDE,
                ("x-claude-code-session-id", "s-1"),
                ("x-claude-code-agent-id", "a-2"),
                ("x-claude-code-parent-agent-id", "a-1"),
            ),
            {},
            Identity("claude-code", "2.1.37", "s-1:a-2", "s-1:a-1", "a-2", "a-1"),
        ),
        (
            (CLAUDE, ("x-claude-code-session-id", "s-1"), ("x-claude-code-agent-id", "a-2")),
            {},
            Identity("claude-code", "2.1.37", "s-1:a-2", "s-1", "a-2"),
        ),
        (
            (CLAUDE,),
            {"metadata": {"user_id": '{"device_id":"d","session_id":"s-2"}'}},
            Identity("claude-code", "2.1.37", "s-2"),
        ),
        (
            (CLAUDE,),
            {"metadata": {"user_id": "user_ab_account__session_0f3c9a52-7d11-4c1e-9b7e-1"}},
            Identity("claude-code", "2.1.37", "0f3c9a52-7d11-4c1e-9b7e-1"),
        ),
        (
            (CLAUDE,),
            {"metadata": {"user_id": "me"}},
            Identity("claude-code", "2.1.37"),
        ),
        (
            (
                CODEX,
                ("originator", "codex_cli_rs"),
                ("session-id", "root"),
                ("thread-id", "child"),
                ("x-codex-parent-thread-id", "root"),
                ("x-openai-subagent", "collab_spawn"),
            ),
            {"prompt_cache_key": "k"},
            Identity("codex", "0.60.1", "child", "root", "collab_spawn"),
        ),
        ((CODEX, ("session_id", "s")), {}, Identity("codex", "0.60.1", "s")),
        (
            (CODEX, ("x-codex-turn-metadata", '{"thread_id":"t","parent_thread_id":"p"}')),
            {},
            Identity("codex", "0.60.1", "t", "p"),
        ),
        (
            (("user-agent", "node"), ("originator", "codex_vscode")),
            {"prompt_cache_key": "k"},
            Identity("codex", None, "k"),
        ),
        (
            (("user-agent", "GeminiCLI/0.9.0/gemini-2.5-pro (linux; x64)"),),
            {"request": {"session_id": "g"}},
            Identity("gemini-cli", "0.9.0", "g"),
        ),
        (
            (
                ("user-agent", "opencode/1.0.12 ai-sdk/openai-compatible"),
                ("x-opencode-session", "ses_1"),
                ("x-parent-session-id", "ses_0"),
            ),
            {},
            Identity("opencode", "1.0.12", "ses_1", "ses_0"),
        ),
        (
            (("user-agent", "opencode/1.0.12"), ("x-session-affinity", "ses_2")),
            {},
            Identity("opencode", "1.0.12", "ses_2"),
        ),
        (
            (("user-agent", "node"), ("x-opencode-session", "ses_3")),
            {},
            Identity("opencode", None, "ses_3"),
        ),
        (
            (("user-agent", "node"), ("x-session-affinity", "ses_2")),
            {},
            Identity("node"),
        ),
        (
            (("user-agent", "GitHubCopilotChat/0.26.7"), ("x-interaction-id", "i")),
            {},
            Identity("copilot", "0.26.7", "i"),
        ),
        (
            (("user-agent", "copilot/1.0.3"), ("x-client-session-id", "c")),
            {},
            Identity("copilot", "1.0.3", "c"),
        ),
        ((("user-agent", "Agents/Python 0.6.1"),), {}, Identity("openai-agents", "0.6.1")),
        ((("user-agent", "RooCode/3.36.0"),), {}, Identity("roo-code", "3.36.0")),
        (
            (("user-agent", "Kilo-Code/4.1"), ("x-kilocode-taskid", "t")),
            {},
            Identity("kilo-code", "4.1", "t"),
        ),
        (
            (("user-agent", "AsyncOpenAI/Python 2.3.0"), ("x-stainless-lang", "python")),
            {"session_id": "not of this client"},
            Identity("openai-python", "2.3.0"),
        ),
        ((("user-agent", "AzureOpenAI/Python 2.3.0"),), {}, Identity("openai-python", "2.3.0")),
        ((("user-agent", "OpenAI/JS 6.1.0"),), {}, Identity("openai-node", "6.1.0")),
        ((("user-agent", "Anthropic/JS 0.70.0"),), {}, Identity("anthropic-typescript", "0.70.0")),
        ((("user-agent", "QwenCode/0.15.10 (linux; x64)"),), {}, Identity("qwen-code", "0.15.10")),
        (
            (("user-agent", "ai-sdk/openai-compatible/3.0.37 ai-sdk/provider-utils/4.0.9"),),
            {},
            Identity("ai-sdk", "3.0.37"),
        ),
        ((("user-agent", "curl/8.5.0"),), {}, Identity("curl", "8.5.0")),
        ((("user-agent", "python-requests"),), {}, Identity("python-requests")),
        ((("user-agent", "(none)"),), {}, Identity()),
        ((("user-agent", ""),), {}, Identity()),
        ((), {"session_id": "x"}, Identity()),
    ],
)
def test_identities(headers: Headers, params: JsonObject, expected: Identity) -> None:
    assert identify(headers, params, REQUEST) == expected
    assert identify(headers, {}, LlmRequest("m", True, params=params)) == expected


def test_sdks_as_they_name_themselves() -> None:
    ours = {
        openai.OpenAI(api_key="k").user_agent: Identity("openai-python", openai.__version__),
        openai.AsyncOpenAI(api_key="k").user_agent: Identity("openai-python", openai.__version__),
        anthropic.Anthropic(api_key="k").user_agent: Identity(
            "anthropic-python", anthropic.__version__
        ),
    }
    for user_agent, expected in ours.items():
        assert identify((("user-agent", user_agent),), {}, REQUEST) == expected


def test_ids_are_short() -> None:
    headers = (CLAUDE, ("x-claude-code-session-id", "s" * 9_000))
    assert identify(headers, {}, REQUEST).session_id == "s" * 256


def test_data_file_says_where_each_client_was_seen() -> None:
    path = Path(collector.identity.__file__).with_name("agents.toml")
    entries = tomllib.loads(path.read_text("utf-8"))["agent"]
    known = {
        "name",
        "seen",
        "confidence",
        "user_agent",
        "marks",
        *(field.name for field in fields(Identity)),
    }
    for entry in entries:
        assert set(entry) <= known
        assert entry["confidence"] in ("source", "logs", "documented")
        assert isinstance(entry["seen"], str)
    assert len({entry["name"] for entry in entries}) == len(entries)


@given(
    user_agent=st.one_of(st.text(), st.sampled_from((CLAUDE[1], CODEX[1]))),
    metadata=anything,
    turn=st.one_of(st.text(), anything.map(json.dumps)),
)
def test_never_raises(user_agent: str, metadata: Json, turn: str) -> None:
    headers = (("user-agent", user_agent), ("x-codex-turn-metadata", turn))
    identity = identify(headers, {"metadata": metadata}, REQUEST)
    assert identity.session_id is None or identity.agent in ("claude-code", "codex")
