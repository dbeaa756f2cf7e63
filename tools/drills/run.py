"""Drills one after another, each on the platform that it needs."""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from functools import partial
from pathlib import Path

from tools.drills import infrastructure_faults
from tools.drills.catalogue import Drill
from tools.drills.checks.checker import dead_letters
from tools.drills.experiment import Course
from tools.drills.fault_context import Scene
from tools.drills.faults import Fault
from tools.drills.report import artifacts
from tools.drills.report.result import Result
from tools.drills.targets.platform import FullDisk, Platform, Unsuitable
from tools.drills.workload.load import Load
from tools.stack.errors import StackError

Say = Callable[[str], None]


class Runner:
    """Runs drills; what fails leaves its evidence in a directory below `place`."""

    def __init__(self, platform: Platform, load: Load, place: Path, say: Say) -> None:
        self._platform = platform
        self._load = load
        self._place = place
        self._say = say
        self._dead = dead_letters(platform)

    def run(self, drill: Drill) -> Result:
        """Run a drill; one that can't be done here is skipped.

        One that can't be undone is abandoned, with all that it has found. Raises StackError if it
        can't begin.
        """
        result = None
        try:
            with _stage(drill, self._platform, self._say) as disk:
                if disk:
                    fault = partial(infrastructure_faults.disk_filled, disk=disk)
                    result = self._run(drill, disk.platform, fault, dead_letters(disk.platform))
                else:
                    result = self._run(drill, self._platform, drill.fault or _nothing, self._dead)
        except Unsuitable as reason:
            return Result(drill.name, skipped=str(reason))
        except StackError as error:
            if result is None:
                raise
            result.abandon(str(error))
        return result

    def _run(
        self, drill: Drill, platform: Platform, fault: Fault, dead: Mapping[str, int]
    ) -> Result:
        began = time.time()
        course = Course(drill, platform, self._load, dead, self._say)
        try:
            result = course.run(fault)
        except StackError as error:
            result = course.result
            result.abandon(str(error))
        except BaseException:
            self._say(f"{drill.name}  undoing what it did")
            platform.repair()
            raise
        if not result.good:
            try:
                self._keep(result, course, platform, began)
                platform.repair()
                self._dead = dead_letters(self._platform)
            except StackError as error:
                result.abandon(str(error))
        return result

    def _keep(self, result: Result, course: Course, platform: Platform, began: float) -> None:
        directory = self._place / f"{datetime.now():%Y-%m-%dT%H-%M-%S}-{result.name}"
        artifacts.keep(result, course.ledger.answers(), directory)
        platform.keep_logs(directory, began, time.time())
        result.left = str(directory)


def _stage(drill: Drill, platform: Platform, say: Say) -> AbstractContextManager[FullDisk | None]:
    if not drill.small_disk:
        return nullcontext()
    say(f"{drill.name}  starting a stack of its own")
    return platform.full_disk(drill.small_disk)


def _nothing(scene: Scene) -> None:
    scene.hold()
