from __future__ import annotations

from django.contrib import admin
from django.urls import path
from shop.admin import site

urlpatterns = [path("admin/", admin.site.urls), path("archive/", site.urls)]
