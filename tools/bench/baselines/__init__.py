"""What the platform is measured against: programs written for the benchmark alone."""
