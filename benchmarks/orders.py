"""What the measured endpoints take and answer: an order of 1 kB."""

from __future__ import annotations

from pydantic import BaseModel


class Line(BaseModel):
    """One line of an order."""

    sku: str
    quantity: int
    price: float


class Order(BaseModel):
    """A request body of about 1 kB."""

    customer: str
    lines: list[Line]
    note: str = ""


class Receipt(BaseModel):
    """A small answer."""

    customer: str
    total: float
    reference: str
    text: str


def receipt(order: Order) -> Receipt:
    """Return an answer of about 1 kB."""
    total = sum(line.quantity * line.price for line in order.lines)
    return Receipt(customer=order.customer, total=total, reference="r", text="x" * 900)
