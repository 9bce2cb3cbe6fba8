"""Mutants of what the code does beyond the protocol's table: its own promises, broken one by one."""

from tests.mutants.planting import Change, Mutant

MUTANTS: tuple[Mutant, ...] = ()
