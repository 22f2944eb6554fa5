"""The client of the Tutum tutorial of 2015, as it would be written today; one of the baselines.

One thread: while Slack or the REST API is waited for, nothing is read. It does not reconnect, does
not try again, and what it has read and not told ends with it. Better than the original in one
thing: its connections stay open between requests.
"""

from __future__ import annotations

import json
import os
from typing import Any

import requests
from websocket import WebSocketApp

AUTHORIZATION = os.environ.get("TUTUM_AUTH", "")
STREAM_URL = os.environ.get("TUTUM_STREAM_URL", "wss://stream.tutum.co/v1/events")
REST_URL = os.environ.get("TUTUM_REST_HOST", "https://dashboard.tutum.co")
SLACK_URL = os.environ.get("SLACK_URL", "")
REQUEST_SECONDS = 10

session = requests.Session()


def get_resource(resource_uri: str) -> str:
    """Ask the REST API for a resource."""
    headers = {"Accept": "application/json", "Authorization": AUTHORIZATION}
    answer = session.get(REST_URL + resource_uri, headers=headers, timeout=REQUEST_SECONDS)
    return answer.text


def post_slack(text: str) -> None:
    """Tell Slack."""
    session.post(SLACK_URL, json={"text": text}, timeout=REQUEST_SECONDS)


def on_open(_app: WebSocketApp) -> None:
    """Say that we are connected."""
    print("Connected")


def on_message(_app: WebSocketApp, message: str) -> None:
    """Tell of containers, and of services that belong to a stack."""
    event: dict[str, Any] = json.loads(message)
    if event["type"] == "auth":
        print("Auth completed")
    elif event["type"] == "container":
        post_slack(
            f"Your container was {event['action']}d on Tutum!\n"
            f"Check {event['resource_uri']} to see more details."
        )
    elif event["type"] == "service" and event["parents"]:
        stack = json.loads(get_resource(event["parents"][0]))
        post_slack(
            f"A Service on Tutum was {event['action']}d.\n"
            f"It belonged to the {stack['name']} Stack.\n"
            f"The Stack state is: {stack['state']}"
        )
    elif event["type"] not in {"service", "user-notifications"}:
        told = (event[key] for key in ("type", "action", "state", "resource_uri", "parents"))
        print(*told, sep=":")


def on_error(_app: WebSocketApp, error: Exception) -> None:
    """Say what went wrong."""
    print(error)


def on_close(_app: WebSocketApp, *_how: object) -> None:
    """Say that it is over."""
    print("### closed ###")


def main() -> None:
    """Run until the connection ends."""
    app = WebSocketApp(
        STREAM_URL,
        header={"Authorization": AUTHORIZATION},
        on_open=on_open,
        on_message=on_message,
        on_error=on_error,
        on_close=on_close,
    )
    app.run_forever()


if __name__ == "__main__":
    main()
