"""What `serve` prints once everything answers."""

from __future__ import annotations

from collections.abc import Sequence


def banner(
    *, root: str, demo_key: str | None, demo_name: str | None, demo_upstream: bool, warnings: Sequence[str]
) -> str:
    """The addresses, the demo user's key, and the call to try.

    Args:
        root: scheme, host and port.
        demo_key: the demo user's newest key; None where there is no demo user.
        demo_name: what `Authorization: UserName` takes for the demo user without a key; None where it takes none.
        demo_upstream: whether the built-in demo answers in OpenAI's place.
        warnings: one line each.
    """
    lines = ["", "OpenAI Proxy is ready.", ""]
    if demo_upstream:
        lines += [
            "  THIS IS THE BUILT-IN DEMO: a small program on this machine answers, not OpenAI. Nothing is paid.",
            "  To forward to OpenAI, stop it and set OPENAI_API_KEY.",
            "",
        ]
    lines += [f"  base URL for an SDK   {root}/v1", f"  usage page            {root}/log"]
    if demo_key is None:
        lines += ["  users                 add one: openai-proxy user add NAME", ""]
    else:
        lines += [f"  key of user demo      {demo_key}", ""]
        lines += _call(root, demo_name or demo_key)
    lines += [f"  warning: {warning}" for warning in warnings]
    return "\n".join([*lines, "Press Ctrl-C to stop.", ""])


def _call(root: str, credential: str) -> list[str]:
    return [
        "  Try it:",
        f'    curl {root}/openai -H "Content-Type: application/json" -H "Authorization: UserName {credential}" \\',
        """      -d '{"model": "gpt-4", "messages": [{"role": "user", "content": "Hello world!"}]}'""",
        "",
    ]
