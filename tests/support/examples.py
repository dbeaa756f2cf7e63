"""How many examples a property is tried with."""

from hypothesis import HealthCheck, settings


def examples(count: int) -> settings:
    """Try so many examples, which share the fixtures of their test.

    A profile with more than Hypothesis's usual 100 examples raises the count in proportion.
    """
    many = count * settings().max_examples // 100
    shared = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    return settings(max_examples=many, deadline=None, suppress_health_check=shared)
