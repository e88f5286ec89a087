"""`python -m plenodream`, as torchrun starts it."""

from plenodream.cli import main

main()
