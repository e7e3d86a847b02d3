"""`python -m madoguchi` is the command `madoguchi`."""

from madoguchi.cli import main

main(prog_name="madoguchi")
