"""What every page shows."""

import os


def server(request):
    """The copy that answers.

    SERVER_PORT is the port that this copy of runserver listens on. The port in the address bar, the balancer's, is in
    the Host header, which a balancer passes on unchanged.
    """
    port = request.META["SERVER_PORT"]
    return {"port": port, "pid": os.getpid(), "hue": int(port) % 8}
