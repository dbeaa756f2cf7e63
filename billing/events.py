"""The events that billing publishes: bill recorded, bill voided."""

from dataclasses import replace

from billing.bills import Bill, VoidBill
from chassis.messaging.cloudevents import event
from chassis.messaging.message import Message

EXCHANGE, SOURCE = "billing_events", "billing-consumer"


def bill_recorded(bill: Bill) -> Message:
    """Build the event of a new bill, with all members that the API shows."""
    return event(EXCHANGE, "bill.recorded", SOURCE, bill)


def copy_for_orders(recorded: Message) -> Message:
    """Build the copy of `bill.recorded` that goes to orders, for the bill of an order.

    Orders does not consume from the exchange: its messages would wait behind those about clients'
    bills. The copy is urgent, so that it does not wait behind these in the outbox either.
    """
    return replace(recorded, exchange="", routing_key="orders_inbox", mandatory=True, urgent=True)


def bill_voided(void: VoidBill) -> Message:
    """Build the event of a void bill, with all members that the API shows.

    A bill that has not arrived has only its id.
    """
    return event(EXCHANGE, "bill.voided", SOURCE, void.shown, mandatory=True, urgent=True)
