"""The baselines of the benchmark: programs written for it alone."""
