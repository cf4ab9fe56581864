"""Calls as the login mode of Google's CLI makes them: an event stream, an array, a whole body."""

import os

import httpx

BODY = {
    "model": "gemini-2.5-pro",
    "project": "p",
    "user_prompt_id": "u",
    "request": {
        "contents": [{"role": "user", "parts": [{"text": "turn=one"}]}],
        "tools": [{"functionDeclarations": [{"name": "get_weather"}]}],
        "session_id": "0b6c1c6e-session",
    },
}
HEADERS = {"user-agent": "GeminiCLI/0.61.0/gemini-2.5-pro (linux; x64)"}
URL = os.environ["GOOGLE_GEMINI_BASE_URL"] + "/v1internal:"
with httpx.Client(verify=os.environ["SSL_CERT_FILE"], headers=HEADERS) as client:
    for method in ("streamGenerateContent?alt=sse", "streamGenerateContent", "generateContent"):
        print(len(client.post(URL + method, json=BODY).content))
os._exit(0)
