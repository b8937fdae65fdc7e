from __future__ import annotations

from django.urls import path

from shop import views

urlpatterns = [
    path("", views.landing, name="landing"),
    path("checkout/", views.checkout, name="checkout"),
    path("thanks/<str:number>/", views.thanks, name="thanks"),
]
