"""What takes many minutes: benchmarks, and long sequences of faults."""

from hypothesis import settings

# pytest --hypothesis-profile night
settings.register_profile("night", max_examples=1000, stateful_step_count=30)
