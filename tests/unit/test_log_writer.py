"""A reader of the log that stands still stops nobody; what was not written is counted."""

import logging
import os
import subprocess
import sys
import time

from callsteward.daemon.log_writer import LogWriter


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("callsteward", logging.INFO, "", 0, text, (), None)


def test_a_pipe_that_nobody_reads_stops_no_other_output():
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        writer = LogWriter(stream, limit=100)
        began = time.monotonic()
        for _ in range(5000):
            writer.emit(record("x" * 1000))
        # Who waits for the reader of the pipe waits for ever.
        assert time.monotonic() - began < 60
        dropped = writer.dropped
        assert dropped > 4000
        read = b""
        while b"dropped" not in read:
            read += os.read(reading, 65536)
        writer.flush()
    os.close(reading)
    assert read.endswith(f"callsteward: {dropped} log lines dropped so far: too many waited\n".encode())
    lines = read.count(b"x" * 1000 + b"\n")
    assert lines == 5000 - dropped


def test_the_last_log_lines_are_written_before_the_process_ends():
    code = (
        "import logging, sys; from callsteward.daemon.log_writer import LogWriter;"
        "logging.getLogger().addHandler(LogWriter(sys.stderr));"
        "[logging.getLogger().warning('line %d', number) for number in range(500)]"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stderr.decode().split("\n")[:-1] == [f"line {number}" for number in range(500)]


def test_a_stop_that_takes_too_long_is_forced():
    code = (
        "import time; from callsteward import config; from callsteward.daemon import last_resort, logs;"
        "logs.set_up(config.Log(), threaded=True);"
        "last_resort.end_within(0.3); time.sleep(300)"
    )
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 1
    assert time.monotonic() - began < 100
    assert b"daemon_stop_forced" in done.stderr
