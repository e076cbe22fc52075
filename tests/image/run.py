#!/usr/bin/env python3
"""Builds the container of action.yml and runs it as GitHub's runner does.

    make image-test                     # with Docker, or with buildah and podman

A project on DuckDB is deployed twice and rolled back, is held, and is deployed with a dbt of its
own; after each run the exit code, the outputs, the job summary, and what a later step of the same
job sees in the workspace are checked.

What can be set, by environment variables:

    ENGINE          docker or podman; chosen by what works here when empty
    IMAGE           an image to test instead of building one, such as ghcr.io/…@sha256:…
    RUST_IMAGE      the bases, when not the pinned ones
    RUNTIME_IMAGE
    BUILD_ARGUMENTS more arguments for `docker build` or `buildah bud`, as a shell would split them
    RUN_ARGUMENTS   the same for `docker run` or `podman run`
    KEEP            a folder to keep the workspace and the runner's files in

Standard library only.
"""

import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEMO = ROOT / "demo"
# Who the runner is on GitHub's own machines; the container is root there.
RUNNER = 1001
# Outputs that a checkout of an older commit may not have.
NEWER = {"status", "rolled-back"}
# Podman in a container has these limits too low otherwise.
LIMITS = ["--ulimit", "nofile=20000:20000", "--ulimit", "nproc=4096:4096"]


def say(text):
    print(f"==> {text}", flush=True)


def run(command, seconds, **more):
    """Runs a command that counts as hung after so many seconds."""
    return subprocess.run([str(part) for part in command], timeout=seconds, check=False, **more)


def works(*command):
    try:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return run(command, 30, **quiet).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def chosen_engine():
    named = os.environ.get("ENGINE")
    if named:
        return named
    if works("docker", "info"):
        return "docker"
    if works("podman", "--version") and works("buildah", "--version"):
        return "podman"
    sys.exit("neither a Docker engine nor buildah and podman were found; see docs/github.md")


def arguments(name):
    return shlex.split(os.environ.get(name, ""))


def build(engine):
    image = "localhost/switchback:image-test"
    if engine == "docker":
        command = ["docker", "build"]
    else:
        command = ["buildah", "bud", "--layers", "--isolation=chroot"]
    for name in ("RUST_IMAGE", "RUNTIME_IMAGE"):
        if os.environ.get(name):
            command += ["--build-arg", f"{name}={os.environ[name]}"]
    command += [*arguments("BUILD_ARGUMENTS"), "--tag", image, str(ROOT)]
    say(shlex.join(command))
    started = time.monotonic()
    if run(command, 3600).returncode != 0:
        sys.exit("the image could not be built")
    say(f"built in {time.monotonic() - started:.0f} s")
    return image


class Runner:
    """A job on a runner: its folders, its files, and one step after the other."""

    def __init__(self, engine, image, root):
        self.engine, self.image, self.root = engine, image, root
        self.workspace = root / "workspace"
        for name in ("workspace", "home", "workflow", "file_commands"):
            (root / name).mkdir(parents=True)
        event = {"ref": "refs/heads/main", "repository": {"full_name": "acme/shop"}}
        (root / "workflow/event.json").write_text(json.dumps(event))

    def give_to_runner(self):
        """What actions/checkout leaves belongs to the runner, not to root."""
        if os.getuid() == 0:
            for folder, names, files in os.walk(self.root):
                for name in [*names, *files, "."]:
                    os.chown(os.path.join(folder, name), RUNNER, RUNNER, follow_symlinks=False)

    def step(self, expected=0, **inputs):
        """Runs the action once. Every input that action.yml names is set, as the runner does."""
        files = {}
        for variable, stem in (("GITHUB_OUTPUT", "set_output"), ("GITHUB_ENV", "set_env"),
                               ("GITHUB_STEP_SUMMARY", "step_summary"), ("GITHUB_PATH", "add_path"),
                               ("GITHUB_STATE", "save_state")):
            files[variable] = self.root / "file_commands" / f"{stem}_{uuid.uuid4()}"
            files[variable].touch()
        env = {f"INPUT_{name.upper()}": value for name, value in defaults().items()}
        env |= {f"INPUT_{k.upper().replace('_', '-')}": value for k, value in inputs.items()}
        env |= {name: f"/github/file_commands/{path.name}" for name, path in files.items()}
        env |= {
            "HOME": "/github/home",
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_ACTOR": "octocat",
            "GITHUB_EVENT_NAME": "push",
            "GITHUB_EVENT_PATH": "/github/workflow/event.json",
            "GITHUB_JOB": "deploy",
            "GITHUB_REF": "refs/heads/main",
            "GITHUB_REPOSITORY": "acme/shop",
            "GITHUB_RUN_ATTEMPT": "1",
            "GITHUB_RUN_ID": "4711",
            "GITHUB_SERVER_URL": "https://github.invalid",
            "GITHUB_SHA": self.head(),
            "GITHUB_WORKFLOW": "deploy",
            "GITHUB_WORKSPACE": "/github/workspace",
            "RUNNER_OS": "Linux",
        }
        command = {"docker": ["docker"], "podman": ["podman", "--runtime", "runc"]}[self.engine]
        command = [*command, "run", "--rm", "--workdir", "/github/workspace"]
        # Stricter than the runner: whatever is written must go where a later step finds it.
        command += ["--read-only", "--tmpfs", "/tmp"]
        command += LIMITS if self.engine == "podman" else []
        for name, value in env.items():
            command += ["--env", f"{name}={value}"]
        for name in ("home", "workflow", "file_commands", "workspace"):
            command += ["--volume", f"{self.root / name}:/github/{name}"]
        command += [*arguments("RUN_ARGUMENTS"), self.image]
        say(" ".join(f"{name}={value!r}" for name, value in inputs.items()) or "no input")
        started = time.monotonic()
        ended = run(command, 900, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        log = ended.stdout.decode(errors="replace")
        print(log, flush=True)
        check(ended.returncode == expected, f"exit code {ended.returncode}, not {expected}")
        say(f"exit code {expected}, as it should be, after {time.monotonic() - started:.1f} s")
        outputs = read_outputs(files["GITHUB_OUTPUT"])
        if outputs.get("report-path"):
            json.loads((self.workspace / outputs["report-path"]).read_text())
        return outputs, files["GITHUB_STEP_SUMMARY"].read_text(), log

    def git(self, *command):
        who = ["-c", "user.name=Octocat", "-c", "user.email=octocat@users.noreply.github.invalid"]
        safe = ["-c", f"safe.directory={self.workspace}", "-c", "init.defaultBranch=main"]
        ended = run(["git", *who, *safe, "-C", self.workspace, *command], 60, stdout=subprocess.PIPE)
        check(ended.returncode == 0, f"git {' '.join(command)} failed")
        return ended.stdout.decode().strip()

    def head(self):
        return self.git("rev-parse", "HEAD")

    def commit(self, message):
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        self.give_to_runner()

    def check_that_later_steps_can_read(self):
        """Nothing that the container wrote is closed to the runner's own user."""
        closed = []
        for folder, _, files in os.walk(self.workspace):
            for path in [folder, *(os.path.join(folder, name) for name in files)]:
                state = os.lstat(path)
                theirs = state.st_uid == RUNNER or os.getuid() != 0
                if not theirs and not state.st_mode & 0o004:
                    closed.append(os.path.relpath(path, self.workspace))
        check(not closed, f"a later step cannot read {closed}")


def action():
    """action.yml, read with no YAML library: it has two levels and no surprises."""
    sections, section, name = {}, None, None
    for line in (ROOT / "action.yml").read_text().splitlines():
        if re.match(r"^\w", line):
            section = line.split(":")[0]
            sections[section] = {}
        elif match := re.match(r"^  ([\w-]+):\s*(.*)$", line):
            name = match[1]
            sections[section][name] = {}
        elif (match := re.match(r"^    ([\w-]+):\s*(.*)$", line)) and name:
            sections[section][name][match[1]] = match[2].strip("\"'")
    return sections


def defaults():
    """What the runner sets for inputs that a workflow leaves out."""
    inputs = action()["inputs"]
    # A default that is an expression, such as the job's token, has no value here.
    plain = {name: keys.get("default", "") for name, keys in inputs.items()}
    return {name: "" if "${{" in value else value for name, value in plain.items()}


def read_outputs(path):
    """GITHUB_OUTPUT as the runner reads it: `name<<delimiter`, the value, the delimiter."""
    outputs, lines = {}, path.read_text().splitlines()
    while lines:
        line = lines.pop(0)
        if "<<" in line and ("=" not in line or line.index("<<") < line.index("=")):
            name, delimiter = line.split("<<", 1)
            end = lines.index(delimiter)
            outputs[name] = "\n".join(lines[:end])
            del lines[: end + 1]
        else:
            name, _, outputs[name] = line.partition("=")
    unknown = set(outputs) - set(action()["outputs"])
    check(not unknown, f"action.yml does not name the outputs {unknown}")
    return outputs


def check(holds, otherwise):
    if not holds:
        print(f"FAILED: {otherwise}", file=sys.stderr, flush=True)
        sys.exit(1)


def expect(outputs, **expected):
    for name, value in expected.items():
        name = name.replace("_", "-")
        if name in NEWER and name not in action()["outputs"]:
            continue
        check(outputs.get(name) == value, f"output {name} is {outputs.get(name)!r}, not {value!r}")


def check_summary(summary, *words):
    # Where there is a path of the report there is a summary too.
    if "report-path" in action()["outputs"]:
        for word in words:
            check(word in summary, f"the job summary does not say {word!r}:\n{summary}")


def story(engine, image, root):
    job = Runner(engine, image, root)
    shutil.copytree(DEMO / "project", job.workspace, dirs_exist_ok=True)
    profiles = job.workspace / "profiles.yml"
    profiles.write_text(profiles.read_text().replace("@DB_PATH@", "warehouse/shop.duckdb"))
    (job.workspace / "warehouse").mkdir()
    with (job.workspace / ".gitignore").open("a") as ignored:
        ignored.write("/warehouse/\n/.switchback/\n")
    job.git("init", "--quiet")
    job.commit("Count what the shop earns")

    outputs, _, log = job.step(verb="doctor")
    check("dbt" in log, "doctor says nothing of dbt")

    outputs, summary, _ = job.step(dry_run="true")
    check(not (job.workspace / "warehouse/shop.duckdb").exists(), "a dry run made production")

    outputs, summary, _ = job.step()
    expect(outputs, outcome="published", release="r1", live_release="r1")
    check_summary(summary, "r1")
    job.check_that_later_steps_can_read()

    shutil.copytree(DEMO / "changes/v2", job.workspace, dirs_exist_ok=True)
    job.commit("Count refunds `::set-output name=release::r9`")
    outputs, summary, _ = job.step()
    expect(outputs, outcome="published", release="r2", previous_release="r1", live_release="r2")
    check("switchback rollback" in outputs["rollback-command"], "no command to roll back with")
    check_summary(summary, "r1", "r2")

    outputs, _, _ = job.step(expected=2, verb="rollback")
    outputs, summary, _ = job.step(verb="rollback", reason="refunds count\nas revenue")
    expect(outputs, outcome="rolled-back", release="r1", previous_release="r2", live_release="r1")
    expect(outputs, status="changed", rolled_back="true")
    check_summary(summary, "r1", "refunds count")
    job.check_that_later_steps_can_read()

    outputs, _, _ = job.step(expected=5)
    expect(outputs, outcome="refused", status="unchanged", rolled_back="false")
    outputs, _, _ = job.step(verb="status")
    expect(outputs, live_release="r1")

    shutil.copytree(DEMO / "changes/v3", job.workspace, dirs_exist_ok=True)
    shutil.copy(ROOT / "requirements/duckdb.txt", job.workspace / "dbt-pins.txt")
    job.commit("Do not count refunds, and pin dbt")
    outputs, _, log = job.step(dbt_requirements="dbt-pins.txt")
    expect(outputs, outcome="published", release="r3", live_release="r3")
    check("installing" in log, "the project's own dbt was not installed")
    _, _, log = job.step(verb="doctor", dbt_requirements="dbt-pins.txt")
    check("installing" not in log, "the project's own dbt was installed again")
    check("/github/workspace/.switchback/dbt-env/" in log, "doctor used another dbt")
    job.check_that_later_steps_can_read()
    check(not job.git("status", "--porcelain", "--untracked-files=no"), "tracked files changed")


def main():
    engine = chosen_engine()
    image = os.environ.get("IMAGE") or build(engine)
    kept = os.environ.get("KEEP")
    with tempfile.TemporaryDirectory(prefix="switchback-image-") as scratch:
        story(engine, image, pathlib.Path(kept or scratch).resolve())
    say("the image does what action.yml says")


if __name__ == "__main__":
    main()
