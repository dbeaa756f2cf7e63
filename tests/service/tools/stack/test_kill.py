"""The end of a stack whose data nobody needs any more."""

from pathlib import Path

from tools.stack import lifecycle, processes
from tools.stack.servers.data_directories import private_home
from tools.stack.stack import Stack

SHARED_MEMORY = Path("/proc/sysvipc/shm")


def test_a_killed_stack_leaves_no_shared_memory_behind() -> None:
    with private_home() as home:
        stack = Stack.private(home)
        server = stack.postgres["gateway"]
        server.start()
        pids = server.pids()
        assert shared_memory_of(pids)
        processes.freeze(pids)
        lifecycle.kill(stack)
        assert not stack.pids()
        assert not shared_memory_of(pids)


def shared_memory_of(pids: list[int]) -> list[str]:
    """The System V segments that one of these processes made."""
    lines = [line.split() for line in SHARED_MEMORY.read_text().splitlines()[1:]]
    return [shmid for _, shmid, _, _, creator, *_ in lines if int(creator) in pids]
