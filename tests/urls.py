from __future__ import annotations

from django.contrib import admin
from django.urls import path

from tests.shop.views import async_landing, async_landing_that_waits, landing, order

urlpatterns = [
    path("admin/", admin.site.urls),
    path("orders/<uuid:pk>/", order),
    path("async/", async_landing),
    path("async/waits/", async_landing_that_waits),
    path("", landing),
]
