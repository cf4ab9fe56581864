"""What a call's finish reason means, whichever provider said it.

In: the word as it stands in `llm_call.finish_reason`. Out: its class. Words: Anthropic Messages
(`stop_reason`), OpenAI Chat Completions and Responses (status and `incomplete_details.reason`),
Gemini and Vertex AI (`FinishReason`, `BlockedReason`), Bedrock Converse (`stopReason`) and
InvokeModel (Titan's `completionReason`, AI21, Cohere), Cohere, Ollama (`done_reason`), watsonx,
DeepSeek.
"""

from __future__ import annotations

from typing import Literal

FinishClass = Literal["stop", "tool_use", "limit", "refusal", "failure"]

_CLASSES: dict[FinishClass, str] = {
    "stop": "stop end_turn stop_sequence completed complete finish endoftext eos_token done",
    "tool_use": "tool_use tool_calls tool_call function_call pause_turn",
    "limit": "max_tokens length max_output_tokens max_token token_limit "
    "model_context_window_exceeded error_limit time_limit incomplete",
    "refusal": "refusal content_filter content_filtered guardrail_intervened safety recitation "
    "language prohibited_content blocklist spii jailbreak model_armor image_safety "
    "image_prohibited_content image_recitation error_toxic other",
    "failure": "failed cancelled canceled error malformed_function_call malformed_response "
    "unexpected_tool_call too_many_tool_calls missing_thought_signature "
    "malformed_model_output malformed_tool_use insufficient_system_resource",
}
_CLASS_OF: dict[str, FinishClass] = {
    word: name for name, words in _CLASSES.items() for word in words.split()
}
REFUSAL_ERRORS = ("content_filter", "content_policy", "responsibleaipolicy", "moderation")
"""In the type of an error by which a provider turns a request down for what it says."""


def finish_class(reason: str | None) -> FinishClass | None:
    """The class; None when no reason was said or the word is not known."""
    return None if reason is None else _CLASS_OF.get(reason.strip().lower())


def is_refusal(reason: str | None, error_type: str | None) -> bool:
    """Did the provider or the model turn the request down?"""
    if finish_class(reason) == "refusal":
        return True
    said = (error_type or "").lower().replace(" ", "_")
    return any(word in said for word in REFUSAL_ERRORS)
