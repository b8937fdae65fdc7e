"""The files of the pages on deployment give processes the time that they need."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import yaml
from django.test import SimpleTestCase, TestCase, override_settings

from django_button_orders.conf import Settings
from django_button_orders.models import ButtonOrder
from django_button_orders.models.databases import allowed_aliases
from django_button_orders.testing import ButtonSandboxMixin
from tests.shop.models import Order, OrderLine
from tests.snippets.page import Block, find_blocks
from tests.snippets.shell import check_shell

HOWTO = Path(__file__).resolve().parents[2] / "docs" / "howto"
# After the calls have ended, their outcomes have to be recorded.
RECORDING_SECONDS = 10


def blocks(name, language):
    return [block for block in find_blocks(HOWTO / name) if block.language == language]


def documents(name):
    for block in blocks(name, "yaml"):
        yield from yaml.safe_load_all(block.code)


def is_reporting(command):
    words = " ".join(command)
    return "celery -A shop worker" in words or "button_orders_report --loop" in words


def pods(document):
    """Return the templates of pods in a manifest, however deep they are."""
    found = []
    if isinstance(document, dict):
        if "containers" in document:
            found.append(document)
        for value in document.values():
            found += pods(value)
    return found


class GraceTests(SimpleTestCase):
    needed = Settings().deadline + RECORDING_SECONDS

    def test_docker(self):
        services = {}
        for document in documents("deploy-docker.rst"):
            services |= document["services"]
        reporting = [
            service
            for service in services.values()
            if is_reporting(service.get("command", []))
        ]

        assert len(reporting) == 2
        for service in reporting:
            grace = re.fullmatch(r"(\d+)s", service["stop_grace_period"])
            assert int(grace[1]) >= self.needed

    def test_kubernetes(self):
        reporting = [
            pod
            for document in documents("deploy-kubernetes.rst")
            for pod in pods(document)
            if is_reporting(pod["containers"][0]["command"])
        ]

        assert len(reporting) == 2
        for pod in reporting:
            assert pod["terminationGracePeriodSeconds"] >= self.needed

    def test_systemd(self):
        reporting = []
        for block in blocks("deploy-systemd.rst", "ini"):
            parser = configparser.ConfigParser(interpolation=None)
            parser.optionxform = str
            parser.read_string(block.code)
            service = parser["Service"]
            if is_reporting([service["ExecStart"]]):
                reporting.append(service)

        assert len(reporting) == 2
        for service in reporting:
            assert float(service["TimeoutStopSec"]) >= self.needed

    def test_heroku(self):
        [block] = [
            block
            for block in blocks("deploy-heroku.rst", "python")
            if "DEADLINE" in block.code
        ]
        deadline = re.search(r'"DEADLINE": (\d+)', block.code)

        # Heroku kills a dyno 30 seconds after SIGTERM.
        assert int(deadline[1]) + RECORDING_SECONDS <= 30


class BeatTests(SimpleTestCase):
    def test_one_at_a_time(self):
        [beat] = [
            document
            for document in documents("deploy-kubernetes.rst")
            if document["metadata"]["name"] == "shop-beat"
        ]

        assert beat["spec"]["replicas"] == 1
        assert beat["spec"]["strategy"] == {"type": "Recreate"}


class CommandTests(SimpleTestCase):
    """Commands in manifests, units and crontabs take the options that they name."""

    def check(self, *commands):
        assert commands
        for command in commands:
            with self.subTest(command):
                check_shell(Block(HOWTO, 1, "sh", command))

    def test_docker(self):
        commands = []
        for document in documents("deploy-docker.rst"):
            for service in document["services"].values():
                commands.append(" ".join(service.get("command", [])))
                commands.append(service.get("healthcheck", {}).get("test", [""])[-1])
        self.check(*commands)

    def test_kubernetes(self):
        self.check(
            *(
                " ".join(pod["containers"][0]["command"])
                for document in documents("deploy-kubernetes.rst")
                for pod in pods(document)
            )
        )

    def test_lines_of_text(self):
        pages = ("deploy-heroku.rst", "deploy-without-a-broker.rst", "monitor.rst")
        # The shell of cron runs what is in $().
        self.check(
            *(
                re.sub(r"\$\(.*\)", "2026-11-30", line[line.index("python ") :])
                for page in pages
                for block in blocks(page, "text")
                for line in block.code.splitlines()
                if "python manage.py" in line
            )
        )

    def test_units(self):
        found = [
            line
            for page in ("deploy-systemd.rst", "prometheus.rst")
            for block in blocks(page, "ini")
            for line in block.code.splitlines()
            if "manage.py" in line
        ]
        self.check(*(line.rpartition("-c '")[2].rstrip("'") for line in found))


class LoggerTests(SimpleTestCase):
    def test_names(self):
        text = (HOWTO / "logging.rst").read_text(encoding="utf-8")
        names = set(re.findall(r"``django_button_orders\.(\w+)[\w.]*``", text))
        package = HOWTO.parents[1] / "django_button_orders"
        logging = {
            path.relative_to(package).parts[0].removesuffix(".py")
            for path in package.rglob("*.py")
            if re.search(r"^logger = get_logger", path.read_text("utf-8"), re.M)
        }

        assert names == logging


def page_router():
    """Return the router of the page on databases, with a database of the tests."""
    [code] = [
        block.code
        for block in blocks("databases.rst", "python")
        if "class ReplicaRouter" in block.code
    ]
    namespace = {}
    exec(code.replace('"replica"', '"archive"'), namespace)  # noqa: S102 - our own page
    return namespace["ReplicaRouter"]()


class LaggingReplicaTests(ButtonSandboxMixin, TestCase):
    """The replica has not received anything yet."""

    databases = {"default", "archive"}

    def test_reports_from_the_primary_database(self):
        with override_settings(DATABASE_ROUTERS=[page_router()]):
            order = Order.objects.create(number="1994", total=70)
            OrderLine.objects.create(order=order, sku="MUG", price=70)

            assert self.button_sandbox.report() == {"reported": 1}
            assert list(allowed_aliases()) == ["default"]
            # The shop's own pages read from the replica.
            assert not Order.objects.exists()
            assert ButtonOrder.objects.get().status == "reported"

        [line] = self.button_sandbox.orders["1994"]["line_items"]
        assert line["identifier"] == "MUG"
