"""Google's Pub/Sub emulator for measurements; it comes with the gcloud SDK, and runs on Java."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import requests

from servers import answers, free_port

PROJECT, TOPIC = "demo", "usage-events"


@contextlib.contextmanager
def pubsub_emulator() -> Iterator[str]:
    """Its host and port, with one topic, until the block ends.

    Raises:
        RuntimeError: the gcloud SDK or its emulator is not there.
    """
    command = ["gcloud", "info", "--format=value(installation.sdk_root)"]
    try:
        root = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except FileNotFoundError:
        raise RuntimeError("the Pub/Sub emulator comes with the gcloud SDK, and `gcloud` is not on PATH") from None
    jars = sorted(Path(root).glob("platform/pubsub-emulator/lib/cloud-pubsub-emulator-*-all.jar"))
    if not jars:
        raise RuntimeError("the gcloud SDK lacks its emulator: gcloud components install pubsub-emulator")
    port = free_port()
    java = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-jar", str(jars[-1]), "--host=127.0.0.1", f"--port={port}"]
    process = subprocess.Popen(java, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # it tells every request
    try:
        while not answers(port):
            if process.poll() is not None:
                raise RuntimeError("the Pub/Sub emulator ended at once; it needs Java 17 or newer")
            time.sleep(0.05)
        topic = f"http://127.0.0.1:{port}/v1/projects/{PROJECT}/topics/{TOPIC}"
        requests.put(topic, json={}, timeout=10).raise_for_status()
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()
