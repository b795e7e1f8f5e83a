"""What every contestant does: the same order, the same receipt, the same slow job, and a log of what really ran."""

from __future__ import annotations

import asyncio
import os
import time

from pydantic import BaseModel

REDIS = os.environ.get("PEERS_REDIS", "redis://127.0.0.1:6379/0")
POSTGRES = os.environ.get("PEERS_POSTGRES", "")
SLOW = 1.0
_EFFECTS = os.open(os.environ.get("PEERS_EFFECTS", os.devnull), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


class Line(BaseModel):
    sku: str
    quantity: int
    price: float


class Order(BaseModel):
    customer: str
    lines: list[Line]
    note: str = ""


class Receipt(BaseModel):
    customer: str
    total: float
    reference: str
    text: str


class Accepted(BaseModel):
    id: str


class Known(BaseModel):
    done: bool


def effect(mark: str, phase: str) -> None:
    """Append one line that no crash of the contestant can take back."""
    os.write(_EFFECTS, f"{mark} {phase} {time.monotonic():.6f}\n".encode())


def receipt(order: Order) -> Receipt:
    total = sum(line.quantity * line.price for line in order.lines)
    return Receipt(customer=order.customer, total=total, reference="r", text="x" * 900)


def settle(order: Order) -> Receipt:
    """Do the quick job."""
    made = receipt(order)
    effect(order.customer, "end")
    return made


def settle_dumped(order: dict) -> dict:
    """Do the quick job, for those whose queues carry JSON."""
    return settle(Order.model_validate(order)).model_dump(mode="json")


async def linger(mark: str) -> str:
    """Do the slow job."""
    effect(mark, "begin")
    await asyncio.sleep(SLOW)
    effect(mark, "end")
    return mark


def linger_blocking(mark: str) -> str:
    """Do the slow job in a process or thread of its own."""
    effect(mark, "begin")
    time.sleep(SLOW)
    effect(mark, "end")
    return mark
