from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext


class NoTenants:
    @property
    def objects(self) -> NoTenants:
        return self

    def exclude(self, *, schema_name: str) -> list[object]:
        return []


def get_public_schema_name() -> str:
    return "public"


def get_tenant_model() -> NoTenants:
    return NoTenants()


def tenant_context(tenant: object) -> AbstractContextManager[None]:
    return nullcontext()
