"""The tutorial, run as a script: its files, its commands, and their output."""

from __future__ import annotations

import os
import queue
import re
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import threading
from dataclasses import replace
from pathlib import Path

import requests
from django.test import SimpleTestCase

from tests.snippets.page import find_blocks

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.rst"
PAGE = ROOT / "docs" / "tutorial" / "first-order.rst"
FOLDER = "button-tutorial"
# A test has no network, so it uses the packages that it runs with.
INSTALLATION = re.compile(
    r"python3 -m venv \.venv|\. \.venv/bin/activate|python -m pip install .*"
)
# How long a machine with other work may take until a process prints something.
PATIENCE_SECONDS = 60


class Terminal:
    """A process in the background, and the lines that it prints."""

    def __init__(self, command, *, cwd, env):
        self.lines = queue.SimpleQueue()
        self.seen = []
        self.process = subprocess.Popen(  # noqa: S603 - the tutorial's commands
            ["/bin/sh", "-c", f"exec {command}"],
            cwd=cwd,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # Ctrl-C goes to all processes of a terminal: runserver has two.
            start_new_session=True,
        )
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def expect(self, text):
        """Wait for each line of a text. Other lines may stand between them."""
        for expected in text.splitlines():
            line = self.next_line(expected)
            while masked(line) != masked(expected):
                line = self.next_line(expected)

    def next_line(self, expected):
        try:
            line = self.lines.get(timeout=PATIENCE_SECONDS)
        except queue.Empty:
            line = None
        assert line is not None, f"{expected!r} is not in {self.seen}."
        self.seen.append(line)
        return line

    def press_ctrl_c(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(PATIENCE_SECONDS)
        self.reader.join()
        self.process.stdout.close()


def masked(text):
    """Return a text without the times in it, which differ from run to run."""
    return re.sub(r"\d+(\.\d+)?( (ms|s|seconds)\b)", r"N\2", text.rstrip())


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Reader:
    """Somebody who follows the page, block by block."""

    def __init__(self, folder, name=FOLDER):
        self.outside = folder
        self.folder = folder / name
        self.terminals = {}
        self.output = ""
        # Somebody may be trying the tutorial on this machine.
        self.ports = {"8010": free_port(), "8000": free_port()}
        self.sandbox = f"http://127.0.0.1:{self.ports['8010']}"
        self.web = f"http://127.0.0.1:{self.ports['8000']}"
        paths = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        self.env = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join([str(ROOT), *sorted(paths)]),
            "PYTHONUNBUFFERED": "1",
        }
        # pytest-django has set it for this process.
        self.env.pop("DJANGO_SETTINGS_MODULE", None)

    @property
    def greeting(self):
        return f"Button sandbox at {self.sandbox}, its page at {self.sandbox}/sandbox"

    def follow(self, block):
        block = replace(block, code=self.with_free_ports(block.code))
        caption = block.options.get("caption", "")
        terminal = re.match(r"Terminal (\d)", caption)
        if block.language == "python":
            self.write_file(caption, block.code)
        elif block.language == "sh" and terminal:
            self.start(terminal[1], block.code)
        elif block.language == "sh":
            self.run(block.code)
        elif terminal:
            if "Ctrl-C" in caption:
                self.terminals[terminal[1]].press_ctrl_c()
            self.terminals[terminal[1]].expect(block.code)
        else:
            self.compare(caption, block.code)

    def with_free_ports(self, code):
        for usual, port in self.ports.items():
            code = code.replace(f":{usual}", f":{port}")
        code = re.sub(
            r"_sandbox$", f"_sandbox --port {self.ports['8010']}", code, flags=re.M
        )
        return re.sub(
            r"runserver$", f"runserver {self.ports['8000']}", code, flags=re.M
        )

    def write_file(self, caption, code):
        name, is_addition, _ = caption.partition(", at its end")
        with (self.folder / name).open("a" if is_addition else "w") as file:
            file.write(f"\n{code}")

    def commands_of(self, code):
        lines = code.splitlines()
        return "\n".join(line for line in lines if not INSTALLATION.fullmatch(line))

    def run(self, code):
        done = subprocess.run(  # noqa: S603 - as above
            ["/bin/sh", "-ec", self.commands_of(code)],
            cwd=self.folder if self.folder.exists() else self.outside,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        self.output = done.stdout
        assert done.returncode == 0, f"{code}\n{done.stdout}"

    def start(self, number, code):
        command = self.commands_of(code).removeprefix(f"cd {self.folder.name}").strip()
        self.terminals[number] = Terminal(command, cwd=self.folder, env=self.env)

    def compare(self, caption, expected):
        found, lines = masked(self.output), masked(expected).splitlines()
        if caption == "From the output":
            assert set(lines) <= set(found.splitlines()), found
        else:
            assert caption == "Output", caption
            assert found.splitlines() == lines, found

    def close(self):
        for terminal in self.terminals.values():
            terminal.press_ctrl_c()


class ScriptTestCase(SimpleTestCase):
    folder_name = FOLDER

    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.reader = Reader(Path(folder.name), self.folder_name)
        self.addCleanup(self.reader.close)

    def follow(self, block):
        """Do what a block says. An error names the block's line."""
        try:
            self.reader.follow(block)
        except AssertionError as exc:
            raise AssertionError(f"{block.path}:{block.line}: {exc}") from exc


class TutorialTests(ScriptTestCase):
    def test_each_step(self):
        for block in find_blocks(PAGE):
            self.follow(block)
        self.look_at_the_sandbox()
        self.look_at_the_admin()

    def look_at_the_sandbox(self):
        answer = requests.get(f"{self.reader.sandbox}/sandbox/orders", timeout=30)
        assert answer.json()["1002"]["total"] == 2000

    def look_at_the_admin(self):
        web = self.reader.web
        self.reader.terminals["1"].expect("Quit the server with CONTROL-C.")
        with requests.Session() as session:
            session.get(f"{web}/admin/login/", timeout=30)
            form = {
                "username": "clerk",
                "password": "tutorial",
                "csrfmiddlewaretoken": session.cookies["csrftoken"],
                "next": "/admin/django_button_orders/buttonorder/?q=1002",
            }
            answer = session.post(f"{web}/admin/login/", form, timeout=30)
            page = re.search(
                r"/admin/django_button_orders/buttonorder/\d+/", answer.text
            )
            assert page, answer.text
            answer = session.get(web + page[0], timeout=30)
        # The call that failed is shown, and the one that succeeded.
        assert answer.text.count("/v1/order") >= 2, answer.text


class ReadmeTests(ScriptTestCase):
    """PyPI shows no captions, so the README names files and terminals in its text."""

    def test_quickstart(self):
        self.reader.folder.mkdir()
        for block in quickstart():
            if block.language == "python":
                options = {"caption": name_above(block)}
                self.follow(replace(block, options=options))
            else:
                self.follow_commands(block)
        self.reader.terminals["2"].expect("POST /v1/order 200 order 1001")

    def follow_commands(self, block):
        caption = terminal_in(sentence_above(block))
        self.follow(replace(block, options={"caption": caption}))
        if caption == "Terminal 2":
            self.reader.terminals["2"].expect(self.reader.greeting)


def terminal_in(sentence):
    """Return the terminal that a sentence names, as a caption."""
    found = re.search("(second|third) terminal", sentence)
    return {"second": "Terminal 2", "third": "Terminal 3"}[found[1]] if found else ""


def quickstart():
    """Return the blocks of the README's section."""
    lines = README.read_text().splitlines()
    first, last = lines.index("Quickstart"), lines.index("What is promised")
    return [block for block in find_blocks(README) if first < block.line < last]


def sentence_above(block):
    """Return the line above a block's directive."""
    lines = README.read_text().splitlines()[: block.line - 1]
    *_, sentence, _ = filter(None, lines)
    return sentence


def name_above(block):
    """Return the name of a file from the sentence above a block, as a caption."""
    lines = README.read_text().splitlines()[: block.line]
    sentence = next(line for line in reversed(lines) if "``" in line)
    name = re.findall(r"``([\w/]+\.py)``", sentence)[-1]
    return f"{name}, at its end" if "at its end" in sentence else name
