from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from shop.admin import site
from wagtail.admin import urls as wagtail_urls

urlpatterns = [
    path("admin/", admin.site.urls),
    path("backoffice/", site.urls),
    path("cms/", include(wagtail_urls)),
    path("stripe/", include("djstripe.urls", namespace="djstripe")),
]
