"""A small portal on Django with database sessions: python storm_django.py PORT DATABASE_FILE SECRET_KEY DOORS.

Whoever has a file in the folder DOORS may sign in. Every request takes its time, and saves the session at its end.
"""

import sys
import time
from pathlib import Path

import django
from django.conf import settings
from django.contrib.auth import get_user_model, login
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.urls import path
from werkzeug.serving import make_server

DOORS = Path(sys.argv[-1])
PEOPLE = ("u1003", "u1004")


def configure(file: str, secret_key: str) -> None:
    settings.configure(
        SECRET_KEY=secret_key,
        ALLOWED_HOSTS=["127.0.0.1"],
        ROOT_URLCONF=__name__,
        USE_TZ=True,
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": file,
                "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL"},
            }
        },
    )
    django.setup()
    call_command("migrate", verbosity=0)
    for name in PEOPLE:
        get_user_model().objects.create_user(name)


def sign_in(request: HttpRequest, user: str) -> HttpResponse:
    if not (DOORS / user).exists():
        return HttpResponse("", status=403)
    # The door is looked at first, and the session begins when it may already be closed.
    time.sleep(0.2)
    login(request, get_user_model().objects.get(username=user))
    return HttpResponse(user)


def busy(request: HttpRequest, seconds: str) -> HttpResponse:
    user = request.user.get_username()
    connections.close_all()
    time.sleep(float(seconds))
    request.session["pages"] = request.session.get("pages", 0) + 1
    return HttpResponse(user)


urlpatterns = [path("login/<user>", sign_in), path("busy/<seconds>", busy)]

if __name__ == "__main__":
    configure(sys.argv[2], sys.argv[3])
    make_server("127.0.0.1", int(sys.argv[1]), get_wsgi_application(), threaded=True).serve_forever()
