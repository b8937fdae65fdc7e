from __future__ import annotations

from django.contrib import admin
from django.urls import path

from tests.shop.views import landing

urlpatterns = [path("admin/", admin.site.urls), path("", landing)]
