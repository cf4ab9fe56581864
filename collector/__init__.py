"""Collector: from probe events to rows in the store.

event stream -> byte streams (`streams`) -> HTTP exchanges (`http`, `exchange`) -> LLM calls
(`llm`, `calls`) -> rows (`rows`, `store`). `pipeline` wires all of it on one page.
"""
