"""The forms of `/log` as a browser sends them: with the cookie and the token of the page that they stand on."""

from __future__ import annotations

import re

import requests


def token_of(page: str) -> str:
    """The token in a page's first form that has one."""
    found = re.search(r'name="token" value="([^"]+)"', page)
    assert found, page
    return found[1]


def sign_in(browser: requests.Session, root: str, key: str, **headers: str) -> requests.Response:
    """What the browser is answered when somebody opens the page and signs in; redirects are followed."""
    token = token_of(browser.get(f"{root}/log", headers={"Accept": "text/html"}, timeout=30).text)
    form = {"key": key, "token": token}
    return browser.post(f"{root}/log/sign-in", form, headers={"Accept": "text/html", **headers}, timeout=30)


def sign_out(browser: requests.Session, root: str, page: str, **headers: str) -> requests.Response:
    """What it is answered when they sign out from this page."""
    form = {"token": token_of(page)}
    return browser.post(f"{root}/log/sign-out", form, headers={"Accept": "text/html", **headers}, timeout=30)
