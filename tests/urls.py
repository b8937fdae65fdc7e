from __future__ import annotations

from django.contrib import admin
from django.urls import path

from tests.shop.views import landing, order

urlpatterns = [
    path("admin/", admin.site.urls),
    path("orders/<uuid:pk>/", order),
    path("", landing),
]
