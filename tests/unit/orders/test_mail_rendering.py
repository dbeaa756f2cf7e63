"""A mail from the template has the bytes that the email package writes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders.allowed_transitions import STEPS, Step
from orders.mail import message as mail_message
from orders.mail.message import OrderData, compose, render
from tests.support.examples import examples
from tests.support.mailing import EPOCH, order_data

NAMES = ["Shop <shop@kawa.fr>", "orders@localhost", "Größe & Co <shop@a-rather-long-name.example>"]
PLAIN = st.text("AZaz09-._", min_size=1, max_size=50)
ADDRESSES = st.one_of(
    st.from_regex(r"[a-z0-9.+_-]{1,40}@[a-z0-9.-]{1,40}", fullmatch=True),
    st.sampled_from(["ben@kawa.fr", "ben@straße.de", "jürgen@kawa.fr", "=?x?q?a?=@kawa.fr"]),
)


@examples(100)
@given(
    st.one_of(PLAIN, st.text(max_size=50)),
    ADDRESSES,
    st.sampled_from(STEPS),
    st.sampled_from(NAMES),
    st.lists(st.text(max_size=100), max_size=3),
    st.text(max_size=60),
)
def test_a_rendered_mail_has_the_bytes_that_the_email_package_writes(
    order_id: str, recipient: str, step: Step, sender: str, names: list[str], reason: str
) -> None:
    lines = [{"product_id": 1, "name": name, "quantity": 1, "unit_price": 1} for name in names]
    order = OrderData(**order_data(order_id=order_id, lines=lines, reason=reason))
    arguments = (order, step, sender, recipient, EPOCH)
    try:
        message = compose(*arguments)
    except ValueError:
        with pytest.raises(ValueError):
            render(*arguments)
        return
    assert render(*arguments) == (message["To"].addresses[0].addr_spec, message.as_bytes())


def test_a_usual_mail_needs_no_email_package(monkeypatch: pytest.MonkeyPatch) -> None:
    order = OrderData(**order_data(order_id="ORD-5F3A9C0B41D7"))
    render(order, "created", "Shop <shop@kawa.fr>", "ben@kawa.fr", EPOCH)
    monkeypatch.setattr(mail_message, "compose", None)
    render(order, "created", "Shop <shop@kawa.fr>", "ada.lovelace+x@mail.kawa.fr", EPOCH)
