"""One module per command; `underglass.cli` loads each only when it is called."""
