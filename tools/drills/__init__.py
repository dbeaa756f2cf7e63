"""Drills that check themselves: faults under live traffic, and whether each promise was kept."""
