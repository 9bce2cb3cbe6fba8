"""`python -m tests.fuzz [TARGET] --runs N`: coverage-guided fuzzing, with atheris.

Outside of `make test` and of CI. The bytes that broke a target are written to a file, and the exit
code is not 0. Without a target all are fuzzed, one after the other, and share the runs.
"""

import argparse
import importlib
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

if importlib.util.find_spec("atheris") is not None:
    # What is measured must be instrumented as it is imported.
    with importlib.import_module("atheris").instrument_imports(include=["sidecar"]):
        importlib.import_module("tests.fuzz.targets")

from tests.fuzz.examples import examples_of
from tests.fuzz.known import is_open
from tests.fuzz.targets import TARGETS

DEFAULT_RUNS = 1_000_000
INPUT_MAX_BYTES = 8_192


def _fuzz(name: str, runs: int, seed: int) -> None:
    """Fuzz one target in this process, which ends here."""
    atheris = importlib.import_module("atheris")
    target = TARGETS[name]

    def once(data: bytes) -> None:
        try:
            target(data)
        except Exception as error:
            if not is_open(error):
                raise

    with tempfile.TemporaryDirectory() as folder:
        for number, example in enumerate(examples_of(name)):
            Path(folder, f"{number}").write_bytes(example)
        options = [f"-runs={runs}", f"-seed={seed}", f"-max_len={INPUT_MAX_BYTES}"]
        atheris.Setup([sys.argv[0], *options, "-print_final_stats=1", folder], once)
        atheris.Fuzz()


def _fuzz_all(runs: int, seed: int) -> int:
    """Fuzz every target in a process of its own, for the fuzzer ends the one that it is in."""
    failed = 0
    for name in TARGETS:
        print(f"--- {name}", flush=True)
        share = -(-runs // len(TARGETS))  # rounded up: never fewer than were asked for
        command = [sys.executable, "-m", "tests.fuzz", name, "--runs", f"{share}"]
        done = subprocess.run([*command, "--seed", f"{seed}"], check=False)
        failed += done.returncode != 0
    print(f"{failed} of {len(TARGETS)} targets have finds", flush=True)
    return 1 if failed else 0


def main() -> int:
    """Fuzz what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", nargs="?", choices=[*TARGETS], metavar="TARGET")
    parser.add_argument("--runs", type=int, default=DEFAULT_RUNS, help="executions, of all targets")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--list", action="store_true", help="print the targets' names")
    asked = parser.parse_args()
    if asked.list:
        print("\n".join(TARGETS))
        return 0
    if importlib.util.find_spec("atheris") is None:
        print("Install the fuzzer first: pip install -e '.[fuzz]'", file=sys.stderr)
        return 2
    if asked.target is None:
        return _fuzz_all(asked.runs, asked.seed)
    _fuzz(asked.target, asked.runs, asked.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
