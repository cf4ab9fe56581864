"""Analysis: typed rows in, answers out.

Each detector is a pure function in a module of its own; `queries/` holds the SQL that feeds
them. Nothing here draws or prints.
"""
