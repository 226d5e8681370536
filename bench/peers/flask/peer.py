"""A session on Flask and Flask-Session: made, used once, asked for. Served by gunicorn, gevent."""

from __future__ import annotations

import os

from flask import Flask, abort, session
from flask_session import Session
from redis import Redis

app = Flask(__name__)
app.config.update(
    SESSION_TYPE="redis",
    SESSION_REDIS=Redis.from_url(os.environ["STORE_URL"], max_connections=1024),
    PERMANENT_SESSION_LIFETIME=1800,
    SESSION_REFRESH_EACH_REQUEST=False,  # a verify only reads
)
Session(app)


@app.post("/create")
def create() -> dict[str, str]:
    session["user"] = "user-1"
    session["used"] = False
    return {"user": "user-1"}


@app.post("/redeem")
def redeem() -> dict[str, str]:
    if "user" not in session or session["used"]:
        abort(401)
    session["used"] = True
    return {"user": session["user"]}


@app.get("/verify")
def verify() -> dict[str, str]:
    if "user" not in session:
        abort(401)
    return {"user": session["user"]}
