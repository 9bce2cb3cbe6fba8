"""The simulation: both real sides in virtual time, every fault, held against the bill."""
