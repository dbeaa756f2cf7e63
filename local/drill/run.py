"""Drills one after another, each on the platform that it needs."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from functools import partial
from pathlib import Path
from uuid import uuid4

from local.drill import evidence, faults, surroundings
from local.drill.catalogue import Drill
from local.drill.course import Course
from local.drill.load import Load
from local.drill.platform import FullDisk, Platform, Unsuitable
from local.drill.result import Result
from local.drill.scene import Scene

Say = Callable[[str], None]


def run(drill: Drill, platform: Platform, load: Load, place: Path, say: Say) -> Result:
    """Run a drill; what fails leaves its evidence in a directory below `place`.

    One that can't be done here is skipped. Raises StackError if it can't begin.
    """
    try:
        with _stage(drill, platform, say) as disk:
            stage = disk.platform if disk else platform
            return _run(drill, stage, _fault(drill, disk), load, place, say)
    except Unsuitable as reason:
        return Result(drill.name, skipped=str(reason))


def _stage(drill: Drill, platform: Platform, say: Say) -> AbstractContextManager[FullDisk | None]:
    if not drill.small_disk:
        return nullcontext()
    say(f"{drill.name}  starting a stack of its own")
    return platform.full_disk(drill.small_disk)


def _fault(drill: Drill, disk: FullDisk | None) -> faults.Fault:
    if disk:
        return partial(surroundings.disk_filled, disk=disk)
    return drill.fault or _nothing


def _nothing(scene: Scene) -> None:
    scene.hold()


def _run(
    drill: Drill, platform: Platform, fault: faults.Fault, load: Load, place: Path, say: Say
) -> Result:
    began = time.time()
    course = Course(drill, platform, load, uuid4().hex[:8], say)
    try:
        result = course.run(fault)
    except BaseException:
        say(f"{drill.name}  undoing what it did")
        platform.repair()
        raise
    if not result.good:
        directory = place / f"{datetime.now():%Y-%m-%dT%H-%M-%S}-{drill.name}"
        evidence.keep(result, course.ledger.answers(), directory)
        platform.keep_logs(directory, began, time.time())
        result.left = str(directory)
        platform.repair()
    return result
