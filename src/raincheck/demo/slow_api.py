"""A stand-in for a slow third party: a weather service that really computes each forecast, and limits its callers.

A forecast integrates an ensemble of slightly different Lorenz-96 atmospheres, so an answer costs about a second of
processor time. Two are computed at a time and two callers may wait; the next one gets 429 with Retry-After.
"""

import asyncio
import hashlib
import os
from typing import Annotated

import numpy as np
from fastapi import FastAPI, HTTPException, Query
from numpy.typing import NDArray
from pydantic import BaseModel

from raincheck.demo import neighbour

DAYS = 10
MEMBERS = 48
CELLS = 40
STEPS_A_DAY = 600
FORCING = 8.0
RUNNING, WAITING = 2, 2

app = FastAPI(title="A slow weather service")
slots = asyncio.Semaphore(RUNNING)
callers = 0


class Forecast(BaseModel):
    """Temperatures for the next days: the ensemble's mean, and how far its members disagree."""

    city: str
    celsius: list[float]
    uncertainty: list[float]


@app.get("/forecast")
async def forecast(city: Annotated[str, Query(min_length=1, max_length=80)]) -> Forecast:
    """Compute a forecast, or send the caller away when too many are waiting."""
    global callers  # noqa: PLW0603 - one number, one event loop
    if callers >= RUNNING + WAITING:
        raise HTTPException(429, "Too many callers", headers={"Retry-After": "1"})
    callers += 1
    try:
        async with slots:
            return await asyncio.to_thread(compute_forecast, city)
    finally:
        callers -= 1


def compute_forecast(city: str, *, days: int = DAYS, members: int = MEMBERS) -> Forecast:
    """Integrate the ensemble with Runge-Kutta steps; the city's name seeds its weather."""
    seed = int.from_bytes(hashlib.sha256(city.encode()).digest()[:8], "big")
    chance = np.random.default_rng(seed)
    state = FORCING + chance.normal(0, 2, CELLS) + chance.normal(0, 0.05, (members, CELLS))
    climate, step = chance.uniform(4, 22), 0.2 / STEPS_A_DAY
    celsius, uncertainty = [], []
    for _day in range(days):
        for _ in range(STEPS_A_DAY):
            first = _tendency(state)
            second = _tendency(state + step / 2 * first)
            third = _tendency(state + step / 2 * second)
            state = state + step / 6 * (first + 2 * second + 2 * third + _tendency(state + step * third))
        here = climate + state[:, 0]
        celsius.append(round(float(here.mean()), 1) + 0.0)  # no -0.0
        uncertainty.append(round(float(here.std()), 2))
    return Forecast(city=city, celsius=celsius, uncertainty=uncertainty)


def _tendency(state: NDArray[np.float64]) -> NDArray[np.float64]:
    tendency: NDArray[np.float64] = (
        (np.roll(state, -1, 1) - np.roll(state, 2, 1)) * np.roll(state, 1, 1) - state + FORCING
    )
    return tendency


if __name__ == "__main__":
    os.nice(10)  # a third party would have its own machine
    neighbour.serve(app)
