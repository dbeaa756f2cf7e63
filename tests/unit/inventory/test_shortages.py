"""Whether an order's stock suffices, and how a rejection words what is short."""

from inventory.reservations import Available
from inventory.stock import rejection_reason, shortages

STOCK = {1: Available("DVD", 3), 2: Available("Blu-ray", 0)}


def test_enough_of_every_product_is_no_shortage() -> None:
    assert shortages(STOCK, {1: 3}) == []
    assert shortages(STOCK, {}) == []


def test_one_more_than_available_is_a_shortage_and_other_products_are_not_named() -> None:
    expected = {"product_id": 2, "name": "Blu-ray", "asked": 1, "available": 0}
    assert shortages(STOCK, {1: 3, 2: 1}) == [expected]


def test_shortages_keep_the_order_of_the_lines() -> None:
    assert [line["product_id"] for line in shortages(STOCK, {2: 1, 9: 1, 1: 4})] == [2, 9, 1]


def test_a_product_that_does_not_exist_has_no_name_and_none_available() -> None:
    expected = {"product_id": 9, "name": None, "asked": 1, "available": 0}
    assert shortages(STOCK, {9: 1}) == [expected]


def test_a_reason_says_what_is_asked_and_available() -> None:
    assert rejection_reason(shortages(STOCK, {1: 4, 9: 1})) == (
        "not enough in stock: 4 of DVD asked, 3 available; product 9 does not exist"
    )


def test_a_reason_names_five_shortages_and_counts_the_others() -> None:
    reason = rejection_reason(shortages({}, dict.fromkeys(range(1, 8), 1)))
    assert reason.endswith("product 5 does not exist; 2 more")
    assert "product 6" not in reason


def test_a_rejection_from_before_shortages_still_has_a_reason() -> None:
    assert rejection_reason([]) == "not enough in stock"
