//! The whole adapter with a stand-in for dbt: a shell script that leaves artifacts and says what
//! it was given.

use std::cell::RefCell;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use tokio::sync::watch;

use super::*;
use crate::domain::project::DbtSummary;
use crate::ports::{Dbt as _, Halt};

/// Answers as a dbt would: writes a manifest whose schema is the profile's path, and results.
const STAND_IN: &str = r#"#!/bin/sh
if [ "$1" = --version ]; then echo dbt-fusion 2.0.0; exit 0; fi
name=$1
while [ $# -gt 0 ]; do
  case $1 in
    --profiles-dir) profiles=$2 ;;
    --target-path) target=$2 ;;
    --vars) vars=$2 ;;
    --project-dir) echo "$2/" >> "$(dirname "$0")/dirs" ;;
  esac
  shift
done
echo "$name vars=$vars env=$REDIRECTED" >> "$(dirname "$0")/calls"
path=$(sed -n 's/.*path: "\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' "$profiles/profiles.yml")
case $name in
  parse|build|run)
    printf '{"metadata":{"project_name":"shop","dbt_version":"2.0.0"},"nodes":{"model.shop.a":{"resource_type":"model","package_name":"shop","original_file_path":"models/a.sql","schema":"%s","alias":"a","config":{"materialized":"table"}}}}' "$path" > "$target/manifest.json" ;;
esac
results() { printf '{"results":[{"unique_id":"model.shop.a","status":"%s","message":"said","execution_time":1}]}' "$1" > "$target/run_results.json"; }
case $name in
  build) echo out; echo err >&2; results success ;;
  run) results error; exit 1 ;;
  run-operation) echo operated ;;
  compile) echo "12:00:00  Encountered an error:"; echo "it broke"; exit 2 ;;
  show) kill -9 $$ ;;
  docs) sleep 60 ;;
  clean) head -c 3000000 /dev/zero; echo; echo "Error: the last line"
    head -c 100000 /dev/zero | tr '\0' x; exit 2 ;;
esac
"#;

#[derive(Default)]
pub(super) struct Watcher {
    output: RefCell<Vec<u8>>,
}

impl Observer for Watcher {
    fn event(&self, event: Event) {
        match event {
            Event::DbtOutput(piece) => self.output.borrow_mut().extend(piece),
            other => panic!("{other:?}"),
        }
    }
}

struct Fixture {
    dir: tempfile::TempDir,
    watcher: Rc<Watcher>,
    project: DbtProject,
    halt: HaltReceiver,
    halter: watch::Sender<Option<Halt>>,
}

fn fixture(commands: &[&str], timeout: Duration) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("tmp")).unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("dbt_project.yml", "name: shop\nprofile: shop\n");
    write(
        "profiles.yml",
        "shop:\n  outputs:\n    default:\n      type: duckdb\n      path: live.duckdb\n",
    );
    write("dbt", STAND_IN);
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(dir.path().join("dbt"), mode).unwrap();
    let watcher = Rc::new(Watcher::default());
    let settings = Settings {
        dbt_executable: Some("./dbt".to_owned()),
        timeout,
        redirect_env: [("REDIRECTED".to_owned(), "yes".to_owned())].into(),
        redirect_vars: [("where".to_owned(), "build".to_owned())].into(),
        ..Settings::default()
    };
    let project = DbtProject::open(
        settings,
        Arc::new(|name: &str| (name == "TMPDIR").then(|| "tmp".to_owned())),
        dir.path().to_path_buf(),
        Rc::clone(&watcher) as Rc<dyn Observer>,
        split(commands),
    )
    .unwrap();
    let (halter, halt) = watch::channel(None);
    Fixture { dir, watcher, project, halt, halter }
}

fn split(commands: &[&str]) -> Vec<Vec<String>> {
    let words = |text: &&str| commands::split_command(text).unwrap();
    commands.iter().map(words).collect()
}

fn redirect() -> Redirect {
    Redirect { key: "path", value: "/b/live.duckdb".to_owned(), overlay: None }
}

impl Fixture {
    async fn run(&self, commands: &[&str]) -> DbtEnd {
        let (commands, site) = (split(commands), Site::Build(redirect()));
        let run = self.project.run(&commands, &site, self.halt.clone());
        run.await.unwrap()
    }

    async fn failure(&self, commands: &[&str]) -> (DbtSummary, String) {
        match self.run(commands).await {
            DbtEnd::Failed { summary, message } => (summary, message),
            other => panic!("{other:?}"),
        }
    }

    fn workspaces(&self) -> usize {
        std::fs::read_dir(self.dir.path().join("tmp")).unwrap().count()
    }

    fn calls(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("calls")).unwrap()
    }
}

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn both_parses_are_read_and_only_the_build_is_redirected() {
    let commands = ["deps", "build --vars 'n: 1'"];
    let fixture = fixture(&commands, LONG);
    let survey = fixture.project.survey(&redirect(), fixture.halt.clone()).await.unwrap();
    let schema = |manifest: &crate::domain::project::Manifest| {
        manifest.nodes["model.shop.a"].relation.schema.clone()
    };
    assert_eq!(schema(&survey.production), "live.duckdb");
    assert_eq!(schema(&survey.build), "/b/live.duckdb");
    let calls = fixture.calls();
    assert!(calls.starts_with("deps vars= env=\n"), "{calls}");
    assert!(calls.contains("parse vars={\"n\":1} env=\n"), "{calls}");
    assert!(calls.contains("parse vars={\"n\":1,\"where\":\"build\"} env=yes\n"), "{calls}");
    assert!(matches!(fixture.run(&commands).await, DbtEnd::Succeeded(_)));
    assert_eq!(fixture.calls().matches("deps").count(), 1, "deps has run");
}

#[tokio::test]
async fn an_overlay_uses_the_parse_of_production_that_it_was_made_from() {
    let fixture = fixture(&["build"], LONG);
    let plain = fixture.project.survey(&redirect(), fixture.halt.clone()).await.unwrap();
    assert_eq!(fixture.calls().matches("parse").count(), 2);
    let overlay =
        ports::Overlay { schemas: [("a".into(), "b".into())].into(), ..ports::Overlay::default() };
    let overlaid = Redirect { overlay: Some(overlay), ..redirect() };
    let survey = fixture.project.survey(&overlaid, fixture.halt.clone()).await.unwrap();
    assert_eq!(fixture.calls().matches("parse").count(), 3);
    assert_eq!((plain.production, plain.fingerprint), (survey.production, survey.fingerprint));
    let (commands, site) = (split(&["build", "deps"]), Site::Build(overlaid));
    fixture.project.run(&commands, &site, fixture.halt.clone()).await.unwrap();
    let dirs = std::fs::read_to_string(fixture.dir.path().join("dirs")).unwrap();
    let copy = |line: &&str| line.contains("/build/project/");
    // Two plain parses, one in the copy; packages are installed in the project itself.
    let dirs: Vec<bool> = dirs.lines().map(|line| copy(&line)).collect();
    assert_eq!(dirs, [false, false, true, true, false]);
    assert!(fixture.dir.path().join("target/manifest.json").exists());
    // The next rung of the ladder needs no other parse as production.
    fixture.project.survey(&redirect(), fixture.halt.clone()).await.unwrap();
    assert_eq!(fixture.calls().matches("parse").count(), 4);
}

#[tokio::test]
async fn commands_are_judged_only_where_dbt_is_to_run() {
    for (command, wrong) in [
        ("build --target x", "--target"),
        ("build --vars nonsense", "--vars"),
        ("--debug", "no dbt"),
    ] {
        let fixture = fixture(&[command], LONG);
        let failure = fixture.project.survey(&redirect(), fixture.halt.clone()).await.unwrap_err();
        assert_eq!(failure.kind, crate::failure::Kind::Usage);
        assert!(failure.message.contains(wrong), "{failure}");
        let (commands, site) = (split(&[command]), Site::Build(redirect()));
        let failure = fixture.project.run(&commands, &site, fixture.halt.clone()).await;
        assert_eq!(failure.unwrap_err().kind, crate::failure::Kind::Usage);
    }
}

#[tokio::test]
async fn a_workspace_is_made_only_where_dbt_is_to_run() {
    let fixture = fixture(&["build"], LONG);
    fixture.project.version().await.unwrap();
    assert_eq!(fixture.workspaces(), 0);
    fixture.project.survey(&redirect(), fixture.halt.clone()).await.unwrap();
    fixture.run(&["build"]).await;
    assert_eq!(fixture.workspaces(), 1);
    let Fixture { dir, project, .. } = fixture;
    drop(project);
    assert_eq!(std::fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_flood_of_output_is_not_kept_and_a_long_line_is_cut() {
    let fixture = fixture(&["clean"], LONG);
    let failure = fixture.project.survey(&redirect(), fixture.halt.clone()).await.unwrap_err();
    assert!(failure.message.contains("the last line\nxxx"), "{failure}");
    assert!(failure.message.len() < 5_000, "{}", failure.message.len());
}

#[tokio::test]
async fn output_streams_and_artifacts_are_copied_to_the_projects_target() {
    let fixture = fixture(&["build"], LONG);
    let end = fixture.run(&["build", "run-operation x"]).await;
    let DbtEnd::Succeeded(summary) = end else { panic!("{end:?}") };
    assert_eq!(summary.counts["success"], 1, "stale results are not read again");
    assert_eq!(*fixture.watcher.output.borrow(), b"out\nerr\noperated\n");
    assert!(fixture.dir.path().join("target/manifest.json").exists());
    assert!(fixture.dir.path().join("target/run_results.json").exists());
}

#[tokio::test]
async fn a_failure_names_the_command_the_nodes_and_the_files() {
    let fixture = fixture(&["build"], LONG);
    let (summary, message) = fixture.failure(&["build", "run --select a", "build"]).await;
    assert_eq!(summary.failures[0].file.as_deref(), Some("models/a.sql"));
    assert!(message.contains("`dbt run --select a` ended with exit code 1"), "{message}");
    assert!(message.contains("model.shop.a (models/a.sql): said"), "{message}");
    assert_eq!(fixture.calls().matches("build vars").count(), 1, "the rest is not run");
    let (_, message) = fixture.failure(&["compile"]).await;
    assert!(message.contains("exit code 2") && message.contains("it broke"), "{message}");
    let (_, message) = fixture.failure(&["show"]).await;
    assert!(message.contains("signal 9"), "{message}");
}

#[tokio::test]
async fn a_series_ends_at_its_time_out_and_at_a_halt() {
    let hasty = fixture(&["build"], Duration::from_millis(300));
    let (_, message) = hasty.failure(&["docs generate"]).await;
    assert!(message.contains("did not end within 0.3 s"), "{message}");
    let fixture = fixture(&["build"], LONG);
    let commands = ["docs generate"];
    let (end, ()) = tokio::join!(fixture.run(&commands), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        fixture.halter.send(Some(Halt::Terminate)).unwrap();
    });
    assert!(matches!(end, DbtEnd::Halted(Halt::Terminate)), "{end:?}");
}
