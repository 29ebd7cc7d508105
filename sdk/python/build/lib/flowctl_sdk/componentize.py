"""Makes a component of a processor: adds the contract to its WIT, and hands both to componentize-py."""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def main():
    parser = argparse.ArgumentParser(
        prog="flowctl-componentize-py",
        description="Make a component of a processor in Python",
        epilog="example: flowctl-componentize-py order_filter.py -o order-filter.wasm",
    )
    parser.add_argument("processor", type=Path, help="the module that has Handler and Config")
    parser.add_argument("--wit", type=Path, help="folder with the processor's world; default: wit beside the module")
    parser.add_argument("-o", "--output", type=Path, help="where to write; default: the module's name with .wasm")
    arguments = parser.parse_args()
    module = arguments.processor.resolve()
    wit = arguments.wit or module.parent / "wit"
    output = arguments.output or module.with_suffix(".wasm")
    for path in (module, wit):
        if not path.exists():
            sys.exit(f"error: there is no `{path}`")
    with tempfile.TemporaryDirectory() as work:
        packages = Path(work) / "wit"
        gather(wit, packages)
        command = [sys.executable, "-c", "from componentize_py import script; script()"]
        command += ["--quiet", "--wit-path", str(packages), "componentize", module.stem]
        # what the processor imports: what lies beside it and above, and what is installed
        folders = [module.parent, module.parent.parent, PACKAGE.parent]
        for folder in folders:
            command += ["--python-path", str(folder)]
        # what is compiled while the component is made stays out of the sources
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        ended = subprocess.run([*command, "--output", str(output.resolve())], env=environment)
    if ended.returncode:
        sys.exit(ended.returncode)
    print(f"{output}: {output.stat().st_size / 2**20:.1f} MiB", file=sys.stderr)


def gather(wit, packages):
    """The author's WIT, with the contract and the first-party event types among its `deps`."""
    shutil.copytree(wit, packages)
    for package in [PACKAGE / "wit" / "flowctl-processor", *(PACKAGE / "wit" / "events").iterdir()]:
        target = packages / "deps" / package.name
        if not target.exists():
            shutil.copytree(package, target)


if __name__ == "__main__":
    main()
