"""Drills that judge themselves: faults under live traffic, and what became of each promise."""
