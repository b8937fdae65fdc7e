"""The views that pages import after they have told a reader to write them."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse


def checkout(request: HttpRequest) -> HttpResponse:
    return HttpResponse()
