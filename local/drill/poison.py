"""A flood of messages that are no bills."""

import itertools

from local.drill.scene import Scene

QUEUE = "billing_queue"
BODIES = (b"", b"no bill", b"{", b"[]", b'{"user_id": 1}', b"\xff\xfe", b"null", b"[" * 5000)
COUNT = 400


def flood(scene: Scene) -> None:
    """A flood of messages that are no bills comes into billing_queue."""
    bodies = itertools.cycle(BODIES)
    scene.platform.publish(QUEUE, dict(zip(ids(scene.run), bodies, strict=False)))
    scene.note(f"{COUNT} messages that are no bills")


def ids(run: str) -> list[str]:
    """The ids of these messages."""
    return [f"drill-{run}-poison-{number}" for number in range(COUNT)]
