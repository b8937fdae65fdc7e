"""A shop that sends its customers to a payment provider, and gets them back."""

from __future__ import annotations

from django.http import HttpResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt
from oscar.core.loading import get_class, get_model

from tests.oscar import urls as usual

Applicator = get_class("offer.applicator", "Applicator")
PaymentDetailsView = get_class("checkout.views", "PaymentDetailsView")
RedirectRequired = get_class("payment.exceptions", "RedirectRequired")
UnableToTakePayment = get_class("payment.exceptions", "UnableToTakePayment")
Selector = get_class("partner.strategy", "Selector")
Basket = get_model("basket", "Basket")


class RedirectView(PaymentDetailsView):
    """The preview, whose button leads to the provider."""

    def handle_payment(self, order_number, total, **kwargs):
        raise RedirectRequired("https://pay.test/")


class DeclinedOnceView(PaymentDetailsView):
    """The preview of a shop whose provider declines the first card."""

    preview = True

    def handle_payment(self, order_number, total, **kwargs):
        if not self.request.session.pop("was_declined", False):
            self.request.session["was_declined"] = True
            raise UnableToTakePayment("Declined.")


class ReturnView(PaymentDetailsView):
    """The page to which the provider sends the customer back."""

    # They are about the visitor's open basket, and this one is frozen.
    preview = True

    def get_pre_conditions(self, request):
        return []

    def post(self, request, *args, **kwargs):
        return self.place(self.get_submitted_basket())

    def place(self, basket):
        request = self.request
        basket.strategy = Selector().strategy(request=request, user=request.user)
        Applicator().apply(basket, request.user, request)
        submission = self.build_submission(basket=basket)
        return self.handle_order_placement(
            self.checkout_session.get_order_number(),
            submission["user"],
            basket,
            submission["shipping_address"],
            submission["shipping_method"],
            submission["shipping_charge"],
            submission["billing_address"],
            submission["order_total"],
        )


@csrf_exempt
def notify(request, basket_id):
    """Place the order when the provider itself calls: a request without a visitor."""
    basket = Basket.objects.get(pk=basket_id)
    basket.strategy = Selector().strategy(request=request, user=basket.owner)
    method = get_class("shipping.methods", "Free")()
    charge = method.calculate(basket)
    get_class("order.utils", "OrderCreator")().place_order(
        basket=basket,
        total=get_class("checkout.calculators", "OrderTotalCalculator")().calculate(
            basket, charge
        ),
        shipping_method=method,
        shipping_charge=charge,
        user=basket.owner,
        request=request,
    )
    return HttpResponse("ok")


urlpatterns = [
    path("checkout/preview/", RedirectView.as_view(preview=True)),
    path("declining/preview/", DeclinedOnceView.as_view()),
    path("pay/return/", ReturnView.as_view()),
    path("pay/notify/<int:basket_id>/", notify),
    path("", include(usual.urlpatterns)),
]
