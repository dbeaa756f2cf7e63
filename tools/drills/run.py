"""Runs drills one after another, each on the platform that it needs."""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from functools import partial
from pathlib import Path

from tools.drills import infrastructure_faults
from tools.drills.catalogue import Drill
from tools.drills.checks.checker import dead_letters
from tools.drills.experiment import Experiment
from tools.drills.fault_context import FaultContext
from tools.drills.faults import Fault
from tools.drills.report import artifacts
from tools.drills.report.result import Result
from tools.drills.targets.platform import FullDisk, Platform, Unsuitable
from tools.drills.workload.load import Load
from tools.stack.errors import StackError

Say = Callable[[str], None]


class Runner:
    """Runs drills; a failed one leaves its artifacts in a subdirectory of `directory`."""

    def __init__(self, platform: Platform, load: Load, directory: Path, say: Say) -> None:
        self._platform = platform
        self._load = load
        self._directory = directory
        self._say = say
        self._dead = dead_letters(platform)

    def run(self, drill: Drill) -> Result:
        """Run a drill; it is skipped where it can't run.

        A drill that can't be undone is abandoned and keeps its findings. Raises StackError if it
        can't start.
        """
        result = None
        try:
            with _full_disk(drill, self._platform, self._say) as disk:
                if disk:
                    fault = partial(infrastructure_faults.disk_filled, disk=disk)
                    result = self._run(drill, disk.platform, fault, dead_letters(disk.platform))
                else:
                    result = self._run(drill, self._platform, drill.fault or _no_fault, self._dead)
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
        experiment = Experiment(drill, platform, self._load, dead, self._say)
        try:
            result = experiment.run(fault)
        except StackError as error:
            result = experiment.result
            result.abandon(str(error))
        except BaseException:
            self._say(f"{drill.name}  undoing the fault")
            platform.repair()
            raise
        if not result.good:
            try:
                self._keep(result, experiment, platform, began)
                platform.repair()
                self._dead = dead_letters(self._platform)
            except StackError as error:
                result.abandon(str(error))
        return result

    def _keep(
        self, result: Result, experiment: Experiment, platform: Platform, began: float
    ) -> None:
        directory = self._directory / f"{datetime.now():%Y-%m-%dT%H-%M-%S}-{result.name}"
        artifacts.keep(result, experiment.history.answers(), directory)
        platform.keep_logs(directory, began, time.time())
        result.left = str(directory)


def _full_disk(
    drill: Drill, platform: Platform, say: Say
) -> AbstractContextManager[FullDisk | None]:
    if not drill.small_disk:
        return nullcontext()
    say(f"{drill.name}  starting a separate stack")
    return platform.full_disk(drill.small_disk)


def _no_fault(context: FaultContext) -> None:
    context.hold()
