"""What the benchmarks print and keep, also when they do not end well."""

from __future__ import annotations

import io
import json
import tempfile
from pathlib import Path

import pytest
from django.test import SimpleTestCase

from benchmarks.report import Report
from tests.faults.servers import Redis, unused_folder


def measure_two_rounds(results):
    results.title = "Two rounds"
    results.add("0 ms", "ours", rate=100.0)
    results.add("0 ms", "ours", rate=300.0)
    results.at_least(1, "rate", results.median("0 ms", "ours", "rate"), 150)


def fail_in_the_second_round(results):
    results.title = "One round"
    results.add("0 ms", "ours", rate=700.0)
    raise FileExistsError("rabbitmq")


def interrupt_the_second_round(results):
    results.title = "One round"
    results.add("0 ms", "ours", rate=700.0)
    raise KeyboardInterrupt


class ReportTests(SimpleTestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.report = Report(
            machine={"cores": 2},
            options={"rounds": 2},
            path=Path(folder.name) / "report.json",
            out=io.StringIO(),
            err=io.StringIO(),
        )

    @property
    def printed(self):
        return self.report.out.getvalue()

    def kept(self):
        return json.loads(self.report.path.read_text())

    def figures(self, name):
        [row] = self.kept()["scenarios"][name]["rows"]
        return [round_["rate"] for round_ in row["rounds"]]

    def test_scenario(self):
        self.report.begin()
        self.report.run("good", measure_two_rounds)

        assert "cores 2" in self.printed
        assert "== Two rounds" in self.printed
        assert "200" in self.printed
        assert self.figures("good") == [100, 300]
        self.report.end({"redis server": "8.0"})
        assert "1  rate" in self.printed
        assert "reached" in self.printed
        assert self.kept()["machine"] == {"cores": 2, "redis server": "8.0"}

    def test_each_round_is_shown_and_kept_at_once(self):
        def look(results):
            results.add("0 ms", "ours", rate=100.0)
            seen.append((self.report.err.getvalue(), self.figures("good")))

        seen = []

        self.report.run("good", look)

        assert seen == [("  0 ms, ours: rate 100\n", [100])]

    def test_scenario_fails(self):
        self.report.run("bad", fail_in_the_second_round)
        self.report.run("good", measure_two_rounds)
        self.report.end({})

        assert "== One round" in self.printed
        assert "700" in self.printed
        assert "This scenario failed" in self.printed
        assert "FileExistsError: rabbitmq" in self.report.err.getvalue()
        assert self.printed.endswith("FAILED: bad\n")
        assert self.figures("bad") == [700]
        assert self.figures("good") == [100, 300]
        assert self.kept()["failed"] == ["bad"]

    def test_scenario_is_interrupted(self):
        self.report.run("good", measure_two_rounds)

        with pytest.raises(KeyboardInterrupt):
            self.report.run("bad", interrupt_the_second_round)

        assert "== Two rounds" in self.printed
        assert "== One round" in self.printed
        assert "This scenario was interrupted" in self.printed
        assert self.figures("bad") == [700]

    def test_fails_before_it_has_measured(self):
        def fail(results):
            raise RuntimeError

        self.report.run("bad", fail)

        assert "== bad" in self.printed


class ServerTests(SimpleTestCase):
    def test_second_round_starts_servers_of_its_own(self):
        with tempfile.TemporaryDirectory() as folder:
            servers = [
                Redis(unused_folder(Path(folder), "redis")).folder for _ in range(2)
            ]

            assert all(server.is_dir() for server in servers)
            assert servers[0] != servers[1]
