"""A Django project whose sessions Latchkey keeps."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command

folder = Path(tempfile.mkdtemp(prefix="latchkey-django-"))
atexit.register(shutil.rmtree, folder)
settings.configure(
    ALLOWED_HOSTS=["*"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": folder / "users.db",
        }
    },
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
    ],
    MIDDLEWARE=[
        "latchkey_client.django.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    ROOT_URLCONF="tests.django_project",
    SECRET_KEY="of a test",
    SESSION_ENGINE="latchkey_client.django",
    USE_TZ=True,
)
django.setup()
call_command("migrate", verbosity=0)

# What follows needs the settings.
from django.contrib import auth  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.http import HttpRequest, HttpResponse, JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402

from latchkey_client.django import client  # noqa: E402
from latchkey_client.session import DeleteUserSessionsRequest  # noqa: E402


def id_of(name: str) -> str:
    """Of the user of this name, who is made if there is none."""
    return str(User.objects.get_or_create(username=name)[0].pk)


def idle(_request: HttpRequest) -> HttpResponse:
    return HttpResponse()


def read(request: HttpRequest) -> JsonResponse:
    user: Any = request.user
    return JsonResponse({"user": user.username, "data": dict(request.session.items())})


def set_(request: HttpRequest) -> HttpResponse:
    for key, value in request.GET.items():
        request.session[key] = value
    return HttpResponse()


def login(request: HttpRequest, name: str) -> HttpResponse:
    auth.login(request, User.objects.get(username=name))
    return HttpResponse()


def logout(request: HttpRequest) -> HttpResponse:
    auth.logout(request)
    return HttpResponse()


def logout_everywhere(request: HttpRequest) -> HttpResponse:
    app: str = settings.LATCHKEY["app"]
    ended = DeleteUserSessionsRequest(app=app, user_id=str(request.user.pk))
    client().sessions.DeleteUserSessions(ended)
    return HttpResponse()


urlpatterns = [
    path("idle", idle),
    path("read", read),
    path("set", set_),
    path("login/<name>", login),
    path("logout", logout),
    path("logout-everywhere", logout_everywhere),
]
