//! The scripts of a release, run on a copy of this repository: the two commits, the tarball, and the
//! `setup` action on what they made.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A repository with this one's files, in which the changelog has this version.
struct Copy {
    dir: TempDir,
}

fn shown(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

impl Copy {
    fn new() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let dir = tempfile::tempdir().unwrap();
        let files = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(root)
            .output()
            .unwrap();
        assert!(files.status.success(), "{}", shown(&files));
        for name in String::from_utf8(files.stdout).unwrap().split_terminator('\0') {
            let (from, to) = (root.join(name), dir.path().join("repository").join(name));
            // A file that is deleted but not yet committed, or a link to an environment.
            if from.is_file() {
                fs::create_dir_all(to.parent().unwrap()).unwrap();
                fs::copy(from, to).unwrap();
            }
        }
        let copy = Self { dir };
        let changelog = copy.read("CHANGELOG.md");
        let released = format!("## [Unreleased]\n\n## [{VERSION}] - 2026-01-01");
        copy.write("CHANGELOG.md", &changelog.replace("## [Unreleased]", &released));
        copy.git(&["init", "--quiet"]);
        copy.commit();
        copy
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("repository")
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.root().join(name)).unwrap()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.root().join(name), text).unwrap();
    }

    fn git(&self, arguments: &[&str]) -> String {
        let who = ["-c", "user.name=Someone", "-c", "user.email=someone@example.com"];
        let output = Command::new("git")
            .args(who)
            .args(arguments)
            .current_dir(self.root())
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", shown(&output));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn commit(&self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "Everything"]);
    }

    fn script(&self, name: &str, arguments: &[&str]) -> Output {
        let path = self.root().join("tools/release").join(name);
        Command::new(path).args(arguments).output().unwrap()
    }

    /// Packs something in the place of the binary, and makes the commits.
    fn release(&self) -> String {
        let binary = self.dir.path().join("switchback");
        fs::write(&binary, format!("#!/bin/sh\necho switchback {VERSION}\n")).unwrap();
        let dist = self.dir.path().join("dist");
        let packed = self.script(
            "pack.sh",
            &[
                binary.to_str().unwrap(),
                VERSION,
                std::env::consts::ARCH,
                "1700000000",
                DIGEST,
                dist.to_str().unwrap(),
            ],
        );
        assert!(packed.status.success(), "{}", shown(&packed));
        let image = format!("ghcr.io/acme/switchback@{DIGEST}");
        let dist = dist.to_str().unwrap();
        let made = self.script("commits.sh", &[VERSION, "Acme/switchback", &image, dist]);
        assert!(made.status.success(), "{}", shown(&made));
        self.git(&["rev-parse", "HEAD~1"])
    }
}

#[test]
fn a_release_is_two_commits_that_pin_the_image_and_then_the_action() {
    let copy = Copy::new();
    let before = copy.git(&["rev-parse", "HEAD"]);
    let pinned = copy.release();
    assert_eq!(copy.git(&["rev-parse", "HEAD~2"]), before);
    assert_eq!(
        copy.git(&["rev-parse", &format!("v{VERSION}^{{commit}}")]),
        copy.git(&["rev-parse", "HEAD"])
    );

    let action = copy.git(&["show", &format!("{pinned}:action.yml")]);
    assert!(action.contains(&format!("image: docker://ghcr.io/acme/switchback@{DIGEST}")));
    let changed = copy.git(&["diff", "--name-only", &before, &pinned]);
    assert_eq!(changed, "action.yml\nsetup/SHA256SUMS");

    for name in ["deploy.yml", "rollback.yml"] {
        let workflow = copy.read(&format!(".github/workflows/{name}"));
        let uses = format!("uses: Acme/switchback@{pinned} # v{VERSION}\n");
        assert!(workflow.contains(&uses), "{workflow}");
        assert!(!workflow.contains("OWNER/"), "{workflow}");
        let own = format!("Acme/switchback/.github/workflows/{name}@v{VERSION}");
        assert!(workflow.contains(&own), "{workflow}");
    }
    for page in ["README.md", "docs/github.md"] {
        assert!(!copy.read(page).contains("OWNER/"), "{page} still has a placeholder");
    }
}

#[test]
fn what_is_not_ready_is_not_released() {
    let copy = Copy::new();
    let refused = |arguments: &[&str], why: &str| {
        let output = copy.script("commits.sh", arguments);
        assert!(!output.status.success());
        assert!(shown(&output).contains(why), "{}", shown(&output));
    };
    let image = format!("ghcr.io/acme/switchback@{DIGEST}");
    refused(&["9.9.9", "acme/switchback", &image, "."], "Cargo.toml names another version");
    refused(&["v1", "acme/switchback", &image, "."], "is no version");
    refused(&[VERSION, "acme/switchback", "ghcr.io/acme/switchback:1", "."], "is no image");
    refused(&[VERSION, "acme", &image, "."], "is no OWNER/REPOSITORY");
    copy.write("README.md", "changed");
    refused(&[VERSION, "acme/switchback", &image, "."], "the checkout has changes");
    copy.git(&["checkout", "--quiet", "README.md"]);
    copy.write("CHANGELOG.md", &format!("## [Unreleased]\n\n## [{VERSION}] - 2026-01-01\n"));
    copy.commit();
    refused(&[VERSION, "acme/switchback", &image, "."], "CHANGELOG.md says nothing");
}

#[test]
fn the_notes_are_the_changelogs_section() {
    let copy = Copy::new();
    copy.write(
        "CHANGELOG.md",
        &format!(
            "# Changelog\n\n## [Unreleased]\n\n- later\n\n## [{VERSION}] - 2026-01-01\n\n### Added\n\n\
             - now\n\n## [0.0.1]\n\n- before\n"
        ),
    );
    let notes = copy.script("notes.sh", &[VERSION]);
    assert_eq!(shown(&notes), "### Added\n\n- now\n");
}

#[test]
fn the_same_binary_is_packed_into_the_same_bytes() {
    let copy = Copy::new();
    let binary = copy.dir.path().join("switchback");
    fs::write(&binary, "a binary").unwrap();
    let pack = |folder: &str| {
        let folder = copy.dir.path().join(folder);
        let arguments = [binary.to_str().unwrap(), VERSION, "x86_64", "1700000000", DIGEST];
        let packed =
            copy.script("pack.sh", &[&arguments[..], &[folder.to_str().unwrap()]].concat());
        assert!(packed.status.success(), "{}", shown(&packed));
        fs::read(folder.join(format!("switchback-{VERSION}-x86_64-linux.tar.gz"))).unwrap()
    };
    let first = pack("one");
    // Another time and another owner's mask leave no trace.
    fs::write(copy.root().join("LICENSE"), copy.read("LICENSE")).unwrap();
    assert!(first == pack("two"));
}

/// Runs `setup/install.sh` as the composite action does.
fn install(copy: &Copy) -> (Output, String, String) {
    let temp = copy.dir.path().join("temp");
    fs::create_dir_all(&temp).unwrap();
    let (path, output) = (temp.join("path"), temp.join("output"));
    let ended = Command::new(copy.root().join("setup/install.sh"))
        .env("RUNNER_TEMP", &temp)
        .env("GITHUB_PATH", &path)
        .env("GITHUB_OUTPUT", &output)
        .output()
        .unwrap();
    let read = |file| fs::read_to_string(file).unwrap_or_default();
    (ended, read(path), read(output))
}

#[test]
fn setup_installs_what_was_released_and_nothing_else() {
    let copy = Copy::new();
    let (ended, ..) = install(&copy);
    assert!(!ended.status.success());
    assert!(shown(&ended).contains("this commit is no release"), "{}", shown(&ended));

    copy.release();
    let sums = copy.read("setup/SHA256SUMS");
    let from = format!("https://github.com/Acme/switchback/releases/download/v{VERSION}");
    assert!(sums.starts_with(&format!("# {from}\n")), "{sums}");
    let dist = copy.dir.path().join("dist");
    let here = format!("file://{}", dist.display());
    copy.write("setup/SHA256SUMS", &sums.replace(&from, &here));
    let (ended, path, output) = install(&copy);
    assert!(ended.status.success(), "{}", shown(&ended));
    assert_eq!(output, format!("version={VERSION}\n"));
    let ran = Command::new(Path::new(path.trim()).join("switchback")).output().unwrap();
    assert_eq!(shown(&ran), format!("switchback {VERSION}\n"));

    for entry in fs::read_dir(&dist).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "gz") {
            fs::write(path, "something else").unwrap();
        }
    }
    let (ended, ..) = install(&copy);
    assert!(!ended.status.success());
    assert!(shown(&ended).contains("is not what was released"), "{}", shown(&ended));
}
