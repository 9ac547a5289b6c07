"""Leave out what a response must not have.

MiniStack passes on the body that a function gives to a response without content. The client would take it for the
beginning of the next response on the connection.
https://www.rfc-editor.org/rfc/rfc9110#section-6.4.1
"""

from __future__ import annotations

from emulator.asgi import App, Message, Receive, Scope, Send

WITHOUT_CONTENT = {204, 304}


def around(app: App) -> App:
    """Return the application, whose responses with these statuses have no content."""

    async def sending_no_content(scope: Scope, receive: Receive, send: Send) -> None:
        empty = False

        async def sending(message: Message) -> None:
            nonlocal empty
            if message["type"] == "http.response.start" and message["status"] in WITHOUT_CONTENT:
                empty = True
                kept = [(name, value) for name, value in message["headers"] if name.lower() != b"content-length"]
                message = {**message, "headers": kept}
            elif empty:
                message = {**message, "body": b""}
            await send(message)

        await app(scope, receive, sending)

    return sending_no_content
