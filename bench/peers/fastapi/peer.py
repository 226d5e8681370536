"""A session on FastAPI and redis.asyncio: made, used once, asked for. Served by uvicorn."""

from __future__ import annotations

import json
import os
import secrets
from typing import Annotated

from fastapi import Cookie, FastAPI, HTTPException, Response
from redis.asyncio import Redis

TTL_S = 1800

app = FastAPI()
# redis-py 8 refuses the 101st caller otherwise.
store = Redis.from_url(os.environ["STORE_URL"], max_connections=1024)


@app.post("/create")
async def create(response: Response) -> dict[str, str]:
    id = secrets.token_urlsafe(24)
    await store.set(f"session:{id}", json.dumps({"user": "user-1", "used": False}), ex=TTL_S)
    response.set_cookie("sid", id, max_age=TTL_S, httponly=True)
    return {"user": "user-1"}


@app.post("/redeem")
async def redeem(sid: Annotated[str, Cookie()]) -> dict[str, str]:
    session = await _read(sid)
    if session["used"]:
        raise HTTPException(401)
    session["used"] = True
    await store.set(f"session:{sid}", json.dumps(session), ex=TTL_S)
    return {"user": session["user"]}


@app.get("/verify")
async def verify(sid: Annotated[str, Cookie()]) -> dict[str, str]:
    return {"user": (await _read(sid))["user"]}


async def _read(id: str) -> dict:
    data = await store.get(f"session:{id}")
    if data is None:
        raise HTTPException(401)
    return json.loads(data)
