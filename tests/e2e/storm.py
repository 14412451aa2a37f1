"""Browsers that sign in and are busy without pause, and what each of their requests was answered."""

import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests

from tests.servers import free_port, stop, tail

LONGEST_REQUEST = 0.3
"""Seconds a request of these portals may take, at most."""

_SESSIONS_EACH = 4
_START_SECONDS = 20
_PORTALS = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Answered:
    """One request: who sent it, when it began, and as whom it was answered (empty: not signed in)."""

    sent_by: str
    began: float
    signed_in_as: str


@dataclass
class Storm:
    """Threads of browsers against one portal."""

    url: str
    answers: list[Answered] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def begin(self, user: str, browsers: int) -> None:
        """Let so many browsers sign in as this user again and again, and work with every session they ever got."""
        for number in range(browsers):
            thread = threading.Thread(target=self._browse, args=(user, random.Random(number)), daemon=True)  # noqa: S311 - a storm, no secret
            self._threads.append(thread)
            thread.start()

    def besiege(self, user: str, threads: int) -> None:
        """Let a user sign in once, and keep that one session busy: never a moment without a request under way."""
        with requests.Session() as browser:
            browser.trust_env = False
            cookie = self._ask(browser, user, f"/login/{user}", {})
        for number in range(threads):
            thread = threading.Thread(target=self._press, args=(user, cookie, random.Random(number)), daemon=True)  # noqa: S311 - a storm, no secret
            self._threads.append(thread)
            thread.start()

    def end(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(10)

    def signed_in(self, user: str, since: float = 0.0, until: float = float("inf")) -> int:
        """How many requests of this user, begun in that time, were answered as signed in."""
        mine = (a for a in self.answers if a.sent_by == user and since <= a.began < until)
        return sum(a.signed_in_as == user for a in mine)

    def _browse(self, user: str, chance: random.Random) -> None:
        cookies: list[dict[str, str]] = []
        with requests.Session() as browser:
            browser.trust_env = False
            while not self._over.is_set():
                if len(cookies) < _SESSIONS_EACH or chance.random() < 0.3:
                    got = self._ask(browser, user, f"/login/{user}", {})
                    cookies += [got] if got else []
                if cookies:
                    seconds = chance.uniform(0.02, LONGEST_REQUEST)
                    self._ask(browser, user, f"/busy/{seconds:.3f}", chance.choice(cookies))
                time.sleep(chance.uniform(0.05, 0.25))

    def _press(self, user: str, cookie: dict[str, str], chance: random.Random) -> None:
        with requests.Session() as browser:
            browser.trust_env = False
            while not self._over.is_set():
                seconds = chance.uniform(LONGEST_REQUEST / 2, LONGEST_REQUEST)
                self._ask(browser, user, f"/busy/{seconds:.3f}", cookie)

    def _ask(self, browser: requests.Session, user: str, path: str, cookies: dict[str, str]) -> dict[str, str]:
        began = time.monotonic()
        browser.cookies.clear()
        answer = browser.get(self.url + path, cookies=cookies, timeout=20)
        self.answers.append(Answered(user, began, answer.text if answer.status_code == 200 else ""))
        return answer.cookies.get_dict() if answer.status_code == 200 else {}


@contextmanager
def portal(name: str, log: Path, *arguments: str) -> Iterator[Storm]:
    """Run a portal as a process of its own, and end it, and the storm, in the end."""
    port = free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, str(_PORTALS / name), str(port), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    storm = Storm(f"http://127.0.0.1:{port}")
    try:
        _wait(storm.url, process, log)
        yield storm
    finally:
        storm.end()
        stop(process)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < until:
        try:
            requests.get(url + "/login/nobody", timeout=5)
        except requests.ConnectionError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"the portal did not start:\n{tail(log)}", pytrace=False)
