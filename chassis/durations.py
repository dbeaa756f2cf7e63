"""Durations, for people."""


def duration(seconds: float) -> str:
    """Return how long something has lasted, such as `12 s`, `3 h 5 min` or `2 d 4 h`."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes_left = divmod(minutes, 60)
    days, hours_left = divmod(hours, 24)
    if days:
        return f"{days} d {hours_left} h"
    if hours:
        return f"{hours} h {minutes_left} min"
    return f"{minutes} min" if minutes else f"{rest} s"
