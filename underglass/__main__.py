"""`python -m underglass`."""

from underglass.cli import main

main()
