"""Providers of models, one module each: its `PROVIDER` is found by `collector.llm.registry`."""
