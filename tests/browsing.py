"""Pages in a real browser, where one is at hand (extra `browser`)."""

import contextlib


@contextlib.contextmanager
def watched(browser):
    """A function that opens an address in a context of its own; errors and requests are collected, and must be none."""
    contexts, trouble = [], []

    def open_page(address, **context):
        contexts.append(browser.new_context(**{"viewport": {"width": 1000, "height": 800}} | context))
        view = contexts[-1].new_page()
        view.on("console", lambda message: trouble.append(message.text) if message.type == "error" else None)
        view.on("pageerror", lambda error: trouble.append(str(error)))
        view.on("request", lambda request: request.url.startswith(("file:", "data:")) or trouble.append(request.url))
        view.goto(address)
        return view

    yield open_page
    for context in contexts:
        context.close()
    assert trouble == []
