"""Weights & Biases Inference: `https://api.inference.wandb.ai/v1`."""

from __future__ import annotations

from collector.llm.provider import Provider

PROVIDER = Provider(
    name="wandb",
    hosts=("api.inference.wandb.ai",),
)
