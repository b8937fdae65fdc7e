"""The results of a run: printed, and kept in a file, as they come."""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from benchmarks.results import Results, describe, describe_targets

FAILED = "This scenario failed. These are the figures until then."
INTERRUPTED = "This scenario was interrupted. These are the figures until then."


@dataclass
class Report:
    """What has been measured so far, and on which machine."""

    machine: dict[str, Any]
    options: dict[str, Any]
    # Each new figure is also written to this file, if there is one.
    path: Path | None = None
    out: TextIO = field(default_factory=lambda: sys.stdout)
    err: TextIO = field(default_factory=lambda: sys.stderr)
    scenarios: dict[str, Results] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    start: float = field(default_factory=time.monotonic)

    def begin(self) -> None:
        self.print(list_facts(self.machine), "")

    def run(self, name: str, measure: Callable[[Results], None]) -> None:
        """Run a scenario, and print what it has measured, also if it fails."""
        results = self.scenarios[name] = Results(name, listener=self.note)
        try:
            measure(results)
        except Exception:  # noqa: BLE001 - the other scenarios still run
            self.failed.append(name)
            results.notes.append(FAILED)
            traceback.print_exc(file=self.err)
        except BaseException:
            results.notes.append(INTERRUPTED)
            raise
        finally:
            self.print(*describe(results), "")
            self.keep()

    def note(self, line: str) -> None:
        """Show new figures at once, and keep them."""
        self.err.write(f"  {line}\n")
        self.err.flush()
        self.keep()

    def end(self, servers: dict[str, str]) -> None:
        self.machine |= servers
        results = self.scenarios.values()
        targets = [target for item in results for target in item.targets]
        if servers:
            self.print(list_facts(servers), "")
        self.print(*describe_targets(targets), f"\n{self.seconds:.0f} seconds.")
        if self.failed:
            self.print(f"FAILED: {', '.join(self.failed)}")
        self.keep()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.start

    def print(self, *lines: str) -> None:
        self.out.write("\n".join(lines) + "\n")
        self.out.flush()

    def keep(self) -> None:
        if self.path is None:
            return
        report = {
            "machine": self.machine,
            "options": self.options,
            "seconds": self.seconds,
            "failed": self.failed,
            "scenarios": {
                name: item.as_dict() for name, item in self.scenarios.items()
            },
        }
        self.path.write_text(f"{json.dumps(report, indent=2)}\n")


def list_facts(facts: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items())
