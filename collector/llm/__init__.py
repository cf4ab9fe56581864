"""LLM APIs: HTTP bodies in, `model` types out; one module per API, listed in `registry`."""
