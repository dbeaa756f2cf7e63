"""Random ids are distinct, also in other threads and in a forked process."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import RFC_4122, UUID

from chassis.random_ids import ascending_ids, random_bytes, random_id, random_uuid

MANY = 2000


def test_ids_are_distinct_in_all_threads() -> None:
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _number: random_uuid(), range(MANY)))
    assert len(set(found)) == MANY
    assert {uuid.version for uuid in found} == {4}


def test_ids_as_text_are_uuids_of_version_4() -> None:
    for _ in range(MANY):
        text = random_id()
        uuid = UUID(text)
        assert (str(uuid), uuid.version, uuid.variant) == (text, 4, RFC_4122)


def test_ascending_ids_are_distinct_uuids_of_version_7_of_this_moment() -> None:
    count = 3 * 4096
    before = time.time_ns() // 1_000_000
    found = ascending_ids(count)
    uuids = [UUID(text) for text in found]
    assert {(uuid.version, uuid.variant) for uuid in uuids} == {(7, RFC_4122)}
    assert found == sorted(set(found))
    assert [text for text in found if len(text) != 32] == []
    assert before <= uuids[0].int >> 80 <= time.time_ns() // 1_000_000
    # the random part: 62 bits
    assert len({uuid.int & (1 << 62) - 1 for uuid in uuids}) == count
    assert ascending_ids(0) == []


def test_a_forked_process_has_other_bytes() -> None:
    random_bytes()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, random_bytes())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reader, 16)
    os.close(reader)
    os.close(writer)
    assert theirs not in {random_bytes() for _ in range(MANY)}
