"""`python -m pipeline.cli` is `slipway`."""

from pipeline.cli import main

main()
