"""OpenAI."""

from __future__ import annotations

from collector.llm.openai_chat import OpenAiChat
from collector.llm.openai_completions import OpenAiCompletions
from collector.llm.openai_embeddings import OpenAiEmbeddings
from collector.llm.openai_media import OPENAI_MEDIA
from collector.llm.openai_requests import OPENAI_REQUESTS
from collector.llm.openai_responses import OpenAiResponses
from collector.llm.openai_responses_socket import OpenAiResponsesSocket
from collector.llm.provider import Provider

PROVIDER = Provider(
    name="openai",
    hosts=("api.openai.com", "chatgpt.com"),
    apis=(OpenAiChat(), OpenAiResponses(), OpenAiEmbeddings(), OpenAiCompletions(), *OPENAI_MEDIA),
    sockets=(OpenAiResponsesSocket(),),
    requests=OPENAI_REQUESTS,
)
