"""Faults of what a platform stands on: its network, its disks, its machines."""

from functools import partial

from tools.drills.fault_context import Scene
from tools.drills.targets.platform import FullDisk, Unsuitable

TARGETS = ("inventory-api", "rabbitmq")


def network_disturbed(scene: Scene, effect: str) -> None:
    """The network to inventory-api, then that to RabbitMQ, is cut, slow or lossy."""
    for target in TARGETS:
        with scene.platform.disturb(effect, target):
            scene.note(f"the network to {target} is {effect}")
            scene.hold(1 / len(TARGETS))


def disk_filled(scene: Scene, disk: FullDisk) -> None:
    """Not a byte is left on a server's disk."""
    scene.last(disk.fill, "the disk is full", disk.free)


def machines_halted(scene: Scene) -> None:
    """Machines are halted in turn, and started again."""
    machines = scene.platform.machines()
    if not machines:
        raise Unsuitable("needs machines: --vagrant")
    for name in scene.shuffled(machines):
        begin, undo = partial(scene.platform.halt, name), partial(scene.platform.boot, name)
        scene.last(begin, f"{name} is halted", undo, 1 / len(machines))
