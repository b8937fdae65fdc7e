"""
The public path of the check; its code is in ``monitoring.health_check``.

Put "health_check" into ``INSTALLED_APPS`` for the page that browsers get.
"""

from __future__ import annotations

from django_button_orders.monitoring.health_check import ButtonOrdersCheck

__all__ = ["ButtonOrdersCheck"]
