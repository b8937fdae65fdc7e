from __future__ import annotations

import re
from html import unescape

from django.contrib.auth.models import User
from django.utils.html import strip_tags

BOX = "Reporting to Button"


def log_in(client, **values):
    """Log a superuser in, or a user with other values, and return the user."""
    user = User.objects.create(
        **{"username": "root", "is_staff": True, "is_superuser": True, **values}
    )
    client.force_login(user)
    return user


def text_of(response):
    """Return the text of a page, without its HTML."""
    html = response.content.decode()
    body = html[html.index("<body") :]
    return re.sub(r"\s+", " ", unescape(strip_tags(body.replace("<", " <"))))


def button_forms(response, verb):
    """Return the URLs to which the buttons of a verb post."""
    html = unescape(response.content.decode())
    return re.findall(rf'<form[^>]* action="([^"]*/{verb}/[^"]*)"', html)
