"""One id finds a request in the logs of all processes that had to do with it."""

from tests.support.stack.bills_client import GOOD, Bills
from tools.stack import trace
from tools.stack.stack import Stack
from tools.stack.waiting import wait_until


def test_one_request_id_finds_a_bill_in_the_logs_of_all_processes(
    bills: Bills, stack: Stack
) -> None:
    bills.post(GOOD, **{"X-Request-ID": "find-me-everywhere"})
    bills.wait_until_all_are_recorded()

    def processes() -> set[str]:
        lines = trace.find(stack.process_manager.logs, "find-me-everywhere")
        return {line.split()[0] for line in lines}

    # orders hears of its own bills alone
    told = {"gateway", "billing-consumer", "billing-relay"}
    # what is confirmed late goes by the outbox
    at_most = told | {"gateway-relay"}
    wait_until(lambda: told <= processes() <= at_most, 30, "all log lines")
