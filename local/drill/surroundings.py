"""Faults of what a platform stands on: its network, its disks, its machines."""

from local.drill.platform import FullDisk, Unsuitable
from local.drill.scene import Scene

TARGETS = ("inventory-api", "rabbitmq")


def network_disturbed(scene: Scene, effect: str) -> None:
    """The network to inventory-api, then that to RabbitMQ, is cut, slow or lossy."""
    for target in TARGETS:
        with scene.platform.disturb(effect, target):
            scene.note(f"the network to {target} is {effect}")
            scene.hold(1 / len(TARGETS))


def disk_filled(scene: Scene, disk: FullDisk) -> None:
    """Not a byte is left on a server's disk."""
    try:
        disk.fill()
        scene.note("the disk is full")
        scene.hold()
    finally:
        disk.free()


def machines_halted(scene: Scene) -> None:
    """Machines are halted in turn, and started again."""
    machines = scene.platform.machines()
    if not machines:
        raise Unsuitable("needs machines: --vagrant")
    for machine in scene.shuffled(machines):
        try:
            scene.platform.halt(machine)
            scene.note(f"{machine} is halted")
            scene.hold(1 / len(machines))
        finally:
            scene.platform.boot(machine)
