from __future__ import annotations

from django.conf import settings
from django.contrib import admin
from django.urls import include, path

from tests.shop.views import order

urlpatterns = [path("admin/", admin.site.urls), path("orders/<uuid:pk>/", order)]
if "grappelli" in settings.INSTALLED_APPS:
    urlpatterns.append(path("grappelli/", include("grappelli.urls")))
if "unfold" in settings.INSTALLED_APPS:
    from tests.themes.combined import site

    urlpatterns.append(path("combined/", site.urls))
