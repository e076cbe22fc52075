use std::cell::RefCell;

use tokio::sync::watch;

use super::*;
use crate::failure::Kind;
use crate::ports::Halt;

/// A Python that makes environments out of shell scripts: `pip` installs a dbt if the pins name it.
const STAND_IN: &str = r#"#!/bin/sh
here=$(dirname "$0")
case "$1 $2" in
  "-c "*) echo "3.11 $(cat "$here/machine" 2>/dev/null)"; exit 0 ;;
  "-m venv") mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && echo "$3" >> "$here/made"; exit ;;
  "-m pip")
    while [ $# -gt 1 ]; do shift; done
    if grep -q slow "$1"; then sleep 60; fi
    if grep -q broken "$1"; then echo "ERROR: no matching distribution" >&2; exit 1; fi
    if grep -q dbt-core "$1"; then printf '#!/bin/sh\n' > "$here/dbt"; chmod +x "$here/dbt"; fi ;;
esac
"#;

#[derive(Default)]
struct Watcher(RefCell<String>);

impl Observer for Watcher {
    fn event(&self, event: Event) {
        match event {
            Event::DbtOutput(piece) => {
                self.0.borrow_mut().push_str(&String::from_utf8_lossy(&piece));
            }
            Event::Note(text) => self.0.borrow_mut().push_str(&text),
            other => panic!("{other:?}"),
        }
    }
}

struct Fixture {
    dir: tempfile::TempDir,
    environments: Environments,
    watcher: Rc<Watcher>,
    halter: watch::Sender<Option<Halt>>,
}

fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let python = dir.path().join("python3");
    fs::write(&python, STAND_IN).unwrap();
    fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
    let (halter, halt) = watch::channel(None);
    let watcher = Rc::new(Watcher::default());
    let environments = Environments {
        cwd: dir.path().to_path_buf(),
        python: python.display().to_string(),
        observer: watcher.clone(),
        halt,
    };
    Fixture { dir, environments, watcher, halter }
}

impl Fixture {
    fn write(&self, name: &str, text: &str) {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn made(&self) -> usize {
        let made = fs::read_to_string(self.dir.path().join("made")).unwrap_or_default();
        made.lines().count()
    }
}

#[tokio::test]
async fn the_same_pins_are_installed_once_and_other_pins_beside_them() {
    let at = fixture();
    at.write("pins.txt", "dbt-core==1.11.16\n");
    let first = at.environments.dbt("pins.txt").await.unwrap();
    assert!(first.starts_with(at.dir.path().join(HOME)), "{}", first.display());
    assert_eq!(at.environments.dbt("pins.txt").await.unwrap(), first);
    assert_eq!(at.made(), 1);
    at.write("pins.txt", "dbt-core==1.10.0\n");
    assert_ne!(at.environments.dbt("pins.txt").await.unwrap(), first);
    at.write("machine", "another Python");
    at.environments.dbt("pins.txt").await.unwrap();
    assert_eq!(at.made(), 3);
    assert!(first.exists(), "what another branch uses stays");
}

#[tokio::test]
async fn files_that_the_pins_include_count() {
    let at = fixture();
    at.write("pins/all.txt", "-r dbt.txt # ours\n--constraint=../limits.txt\n");
    at.write("pins/dbt.txt", "dbt-core\n");
    at.write("limits.txt", "dbt-core==1.10\n");
    let before = texts(&at.dir.path().join("pins/all.txt"), "").unwrap();
    at.write("limits.txt", "dbt-core==1.11\n");
    assert_ne!(texts(&at.dir.path().join("pins/all.txt"), "").unwrap(), before);
    fs::remove_file(at.dir.path().join("limits.txt")).unwrap();
    let failure = at.environments.dbt("pins/all.txt").await.unwrap_err();
    assert!(failure.message.contains("limits.txt, which it includes,"), "{}", failure.message);
}

#[tokio::test]
async fn an_environment_that_was_cut_short_is_made_anew() {
    let at = fixture();
    at.write("pins.txt", "dbt-core\n");
    let dbt = at.environments.dbt("pins.txt").await.unwrap();
    fs::remove_file(dbt.ancestors().nth(2).unwrap().join("ready")).unwrap();
    at.environments.dbt("pins.txt").await.unwrap();
    assert_eq!(at.made(), 2);
}

#[tokio::test]
async fn what_cannot_be_installed_is_named_and_not_taken_for_ready() {
    let at = fixture();
    at.write("pins.txt", "broken\n");
    for _ in 0..2 {
        let failure = at.environments.dbt("pins.txt").await.unwrap_err();
        assert_eq!(failure.kind, Kind::Usage);
        assert!(failure.message.contains("pins.txt cannot be installed"), "{}", failure.message);
    }
    assert_eq!(at.made(), 2);
    assert!(at.watcher.0.borrow().contains("no matching distribution"), "pip's words are shown");
    let failure = at.environments.dbt("gone.txt").await.unwrap_err();
    assert!(failure.message.starts_with("`dbt-requirements` is `gone.txt`"), "{}", failure.message);
}

#[tokio::test]
async fn pins_without_a_dbt_are_refused() {
    let at = fixture();
    at.write("pins.txt", "requests==2.34.2\n");
    let failure = at.environments.dbt("pins.txt").await.unwrap_err();
    assert!(failure.message.contains("installs no dbt command"), "{}", failure.message);
}

#[tokio::test]
async fn a_signal_ends_the_installation() {
    let at = fixture();
    at.write("pins.txt", "slow\n");
    let install = at.environments.dbt("pins.txt");
    let signal = async {
        while at.made() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        at.halter.send_replace(Some(Halt::Terminate));
    };
    let (ended, ()) = tokio::join!(install, signal);
    assert_eq!(ended.unwrap_err().kind, Kind::Terminated);
}

#[test]
fn lines_that_include_a_file_are_told_from_others() {
    assert_eq!(included("-r base.txt"), Some("base.txt"));
    assert_eq!(included("  -cbase.txt  # why"), Some("base.txt"));
    assert_eq!(included("--requirement=base.txt"), Some("base.txt"));
    assert_eq!(included("--constraint base.txt"), Some("base.txt"));
    assert_eq!(included("-r https://host/base.txt"), None);
    assert_eq!(included("dbt-core==1.11.16 --hash=sha256:00"), None);
    assert_eq!(included("# -r base.txt"), None);
}
