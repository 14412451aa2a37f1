"""A small portal on Flask with Flask-Session on Redis: python storm_flask.py PORT REDIS_PORT REDIS_DB DOORS.

Whoever has a file in the folder DOORS may sign in. Every request takes its time, and saves the session at its end.
"""

import sys
import time
from pathlib import Path

import flask
import redis
from flask_session import Session
from werkzeug.serving import make_server


def portal(client: redis.Redis, doors: Path) -> flask.Flask:
    app = flask.Flask("portal")
    app.config.update(SESSION_TYPE="redis", SESSION_REDIS=client)
    Session(app)

    @app.get("/login/<user>")
    def login(user: str) -> tuple[str, int]:
        if not (doors / user).exists():
            return "", 403
        # The door is looked at first, and the session begins when it may already be closed.
        time.sleep(0.2)
        flask.session["_user_id"] = user
        return user, 200

    @app.get("/busy/<float:seconds>")
    def busy(seconds: float) -> str:
        user = str(flask.session.get("_user_id", ""))
        time.sleep(seconds)
        flask.session["pages"] = flask.session.get("pages", 0) + 1
        return user

    return app


if __name__ == "__main__":
    port, redis_port, redis_db = (int(word) for word in sys.argv[1:4])
    application = portal(redis.Redis(port=redis_port, db=redis_db), Path(sys.argv[4]))
    make_server("127.0.0.1", port, application, threaded=True).serve_forever()
