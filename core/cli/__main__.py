"""`python -m core.cli`: the same as `hub`, where it is not installed."""

from core.cli import main

main()
