"""Faults of the infrastructure: network, disks, machines."""

from functools import partial

from tools.drills.fault_context import FaultContext
from tools.drills.targets.platform import FullDisk, Unsuitable

TARGETS = ("inventory-api", "rabbitmq")


def network_disturbed(context: FaultContext, effect: str) -> None:
    """The network to inventory-api, then to RabbitMQ, is cut, slow or lossy."""
    for target in TARGETS:
        with context.platform.disturb(effect, target):
            context.note(f"the network to {target} is {effect}")
            context.hold(1 / len(TARGETS))


def disk_filled(context: FaultContext, disk: FullDisk) -> None:
    """A server's disk is full to the last byte."""
    context.sustain(disk.fill, "the disk is full", disk.free)


def machines_halted(context: FaultContext) -> None:
    """Machines are halted and started again, one after another."""
    machines = context.platform.machines()
    if not machines:
        raise Unsuitable("needs machines: --vagrant")
    for name in context.shuffled(machines):
        begin, undo = partial(context.platform.halt, name), partial(context.platform.boot, name)
        context.sustain(begin, f"{name} is halted", undo, 1 / len(machines))
