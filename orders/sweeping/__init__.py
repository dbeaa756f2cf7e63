"""Sweeping: what unsettled orders wait for is sent again."""
