from __future__ import annotations

from django.http import HttpResponse

from django_button_orders import get_btn_ref


def landing(request):
    return HttpResponse(get_btn_ref(request))
