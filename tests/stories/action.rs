//! The action as the runner starts it: `INPUT_*` and `GITHUB_*` in, outputs, summary, annotations
//! and GitHub's API out. Production is a file in the workspace.

use std::os::unix::fs::MetadataExt;

use serde_json::{Value, json};

use crate::http::{Reply, Server};
use crate::runner::{Runner, github, obeyed};
use crate::world::{missing, shop, write};

#[test]
fn a_deploy_and_its_rollback_are_told_to_github_and_to_later_steps() {
    let Some(mut runner) = Runner::new() else { return };
    let (server, memory) = github();
    runner.talks_to(&server);
    write(&runner.world.project().join(".github/workflows/switchback-rollback.yml"), "on: x");
    runner.run(&[]).expect(0);
    runner.world.release("2");
    let run = runner.run(&[("environment", "production")]).expect(0);
    let outputs = runner.outputs();
    assert_eq!(outputs["outcome"], "published");
    assert_eq!(outputs["status"], "changed");
    assert_eq!(outputs["rolled-back"], "false");
    assert_eq!((&*outputs["release"], &*outputs["previous-release"]), ("r2", "r1"));
    assert_eq!(outputs["relations-changed"], "2");
    assert_eq!(outputs["failures"], "0");
    assert!(outputs["rollback-command"].starts_with("switchback rollback --reason"));
    let plan: Value = serde_json::from_str(&outputs["plan"]).unwrap();
    assert_eq!(plan["release"], "r2");
    assert_eq!(outputs["report-path"], ".switchback/reports/deploy.json");
    let report = runner.world.project().join(&outputs["report-path"]);
    let report: Value = serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
    assert_eq!(report["outcome"], "published");
    let summary = runner.summary();
    assert!(summary.contains("## ✅ r2 is live in <code>production</code>"), "{summary}");
    assert!(summary.contains("https://github.com/o/r/actions/workflows/switchback-rollback.yml"));
    assert!(summary.contains("```mermaid") && summary.contains("main&#46;a"), "{summary}");
    let commands = obeyed(&run.out);
    assert_eq!(commands[0], "::add-mask::hush-hush");
    assert_eq!(commands[1..], ["::group::build with dbt", "::endgroup::"], "{}", run.out);

    runner.run(&[("verb", "rollback"), ("reason", "refunds"), ("dbt-command", "x")]).expect(0);
    let outputs = runner.outputs();
    assert_eq!((&*outputs["outcome"], &*outputs["rolled-back"]), ("rolled-back", "true"));
    assert_eq!(outputs["live-release"], "r1");
    assert!(runner.summary().contains("### Held"), "{}", runner.summary());

    let memory = memory.lock().unwrap();
    let states = |id: u64| -> Vec<&str> {
        memory.statuses[&id].iter().map(|one| one["state"].as_str().unwrap()).collect()
    };
    // All of these are one run's: the deployment it has made is used again.
    assert_eq!(memory.deployments.len(), 1);
    assert_eq!(memory.deployments[0].1["production_environment"], true);
    assert_eq!(states(1), ["in_progress", "success", "in_progress", "success", "success"]);
    assert_eq!(memory.comments.len(), 1, "one comment, updated");
    let comment = memory.comments[0].as_str().unwrap();
    assert!(comment.contains("## ⏪ r1 is live again in <code>production</code>"), "{comment}");
}

#[test]
fn what_was_live_before_becomes_inactive_and_a_failed_deploy_leaves_it_alone() {
    let Some(mut runner) = Runner::new() else { return };
    let (server, memory) = github();
    runner.talks_to(&server);
    runner.run(&[]).expect(0);
    runner.set("GITHUB_RUN_ID", "8");
    runner.world.release_that("2", &json!({"fail_node": "model.shop.b"}));
    let run = runner.run(&[]).expect(3);
    assert_eq!(runner.outputs()["status"], "unchanged");
    assert_eq!(runner.outputs()["failures"], "1");
    let commands = obeyed(&run.out);
    assert!(
        commands.iter().any(|line| line.starts_with("::error title=Switchback::")),
        "{}",
        run.out
    );
    let node = "::error file=models/b.sql,title=dbt%3A model.shop.b (error)::";
    assert!(commands.iter().any(|line| line.starts_with(node)), "{commands:#?}");
    assert!(runner.summary().contains("### What dbt failed on"), "{}", runner.summary());
    runner.set("GITHUB_RUN_ID", "9");
    runner.world.release("3");
    runner.run(&[]).expect(0);
    let memory = memory.lock().unwrap();
    let last = |id: u64| memory.statuses[&id].last().unwrap()["state"].clone();
    assert_eq!([last(1), last(2), last(3)], ["inactive", "failure", "success"]);
    assert!(memory.comments[0].as_str().unwrap().contains("r2 is live in"));
}

#[test]
fn a_github_that_refuses_limits_fails_or_hangs_changes_nothing_but_warnings() {
    let Some(mut runner) = Runner::new() else { return };
    for (version, status, body, word) in [
        ("1", 403, "Resource not accessible by integration", "permissions:  deployments: write"),
        ("2", 503, "down", "GitHub failed with 503"),
        ("3", 422, "Validation Failed", "refused with 422"),
    ] {
        let server = Server::start(move |_, _| Reply::json(status, &json!({ "message": body })));
        runner.talks_to(&server);
        runner.world.release(version);
        let run = runner.run(&[]).expect(0);
        let warnings: Vec<String> = obeyed(&run.out)
            .into_iter()
            .filter(|line| line.starts_with("::warning title=Switchback::"))
            .collect();
        assert!(warnings.iter().any(|line| line.contains(word)), "{warnings:#?}\n{}", run.out);
        assert_eq!(runner.outputs()["outcome"], "published");
        assert!(runner.summary().contains("### Not told to GitHub"));
    }
    let limiting =
        Server::start(|_, _| Reply::Answer(429, vec![("retry-after", "600".into())], "{}".into()));
    runner.talks_to(&limiting);
    let run = runner.run(&[("verb", "rollback"), ("reason", "x")]).expect(0);
    assert!(run.out.contains("asks to wait 600 s"), "{}", run.out);
    // And one that is not asked at all.
    let idle = Server::start(|_, _| Reply::json(500, &Value::Null));
    runner.talks_to(&idle);
    runner.world.release("4");
    let off = [("github-deployment", "false"), ("pull-request-comment", "false")];
    runner.run(&off).expect(0);
    runner.run(&[("dry-run", "true")]).expect(0);
    runner.run(&[("verb", "status")]).expect(0);
    assert!(idle.heard().is_empty(), "{:?}", idle.lines());
}

#[test]
fn hostile_names_messages_and_output_change_nothing_but_text() {
    let Some(mut runner) = Runner::new() else { return };
    let (server, memory) = github();
    runner.talks_to(&server);
    runner.run(&[]).expect(0);
    let evil = "::set-output name=outcome::pwned\n::add-mask::a\n##[add-mask]b\n%0A::error::c\n\
                </details>`x`|@octocat<script>";
    let mut nodes = shop("2");
    let sql = format!("select error('{evil}{}')", "y".repeat(100_000));
    nodes[1]["sql"] = json!(sql);
    nodes[2]["name"] = json!("b</td>|`@o/t`");
    nodes[2]["unique_id"] = json!("model.shop.b</td>|`@o/t`\n::error::d");
    runner.world.nodes(&nodes, &json!({}));
    let run = runner.run(&[("reason", evil), ("environment", "prod`|</code>@x")]).expect(3);
    assert!(run.out.contains("set-output name=outcome"), "it is shown: {}", run.out);
    for command in obeyed(&run.out) {
        let ours = ["::group::build with dbt", "::endgroup::", "::add-mask::hush-hush"];
        let annotation = command.starts_with("::error title=Switchback::")
            || command.starts_with("::error file=")
            || command.starts_with("::warning title=Switchback::");
        assert!(ours.contains(&command.as_str()) || annotation, "{command}");
        assert!(command.len() < 10_000, "{}", command.len());
    }
    let outputs = runner.outputs();
    assert_eq!(outputs["outcome"], "stopped");
    for document in [runner.summary(), memory.lock().unwrap().comments[1].as_str().unwrap().into()]
    {
        for word in ["<script", "@octocat", "</details>", "|`"] {
            assert!(!document.contains(word), "{word} in {document}");
        }
    }
}

#[test]
fn an_unmerged_pull_request_is_refused_unless_it_is_allowed() {
    let Some(mut runner) = Runner::new() else { return };
    runner.set("GITHUB_EVENT_NAME", "pull_request_target");
    let event = runner.file("event.json");
    write(&event, &json!({"pull_request": {"merged": false}}).to_string());
    let run = runner.run(&[]).expect(2);
    assert!(run.out.contains("its pull request is not merged"), "{}", run.out);
    assert_eq!(runner.outputs()["status"], "unchanged");
    assert!(!runner.world.live.exists());
    runner.run(&[("allow-pull-request", "true")]).expect(0);
    write(&event, &json!({"pull_request": {"merged": true}}).to_string());
    runner.world.release("2");
    runner.run(&[]).expect(0);
}

#[test]
fn secrets_are_masked_and_dbt_does_not_get_the_token() {
    let Some(mut runner) = Runner::new() else { return };
    let (server, _) = github();
    runner.talks_to(&server);
    let profile = runner.world.project().join("profiles.yml");
    let text = std::fs::read_to_string(&profile).unwrap();
    write(&profile, &format!("{text}      token: \"{{{{ env_var('MY_WORD') }}}}\"\n"));
    runner.set("MY_WORD", "line one\nline two");
    let mut nodes = shop("1");
    nodes[1]["sql"] = json!(
        "select id, 1 as v, '{{ env_var('INPUT_GITHUB-TOKEN', 'no token') }}' as t from main.raw"
    );
    runner.world.nodes(&nodes, &json!({}));
    let run = runner.run(&[]).expect(0);
    let commands = obeyed(&run.out);
    for mask in ["::add-mask::hush-hush", "::add-mask::line one", "::add-mask::line two"] {
        assert!(commands.iter().any(|line| line == mask), "{mask}: {commands:#?}");
    }
    let seen = runner.world.look("query", &runner.world.live, &["select distinct t from main.a"]);
    assert_eq!(seen.trim(), r#"["no token"]"#);
}

#[test]
fn what_it_made_in_the_workspace_belongs_to_the_workspaces_owner() {
    let Some(runner) = Runner::new() else { return };
    if !rustix::process::geteuid().is_root() {
        return missing("only root can give files away");
    }
    let workspace = runner.world.project();
    std::os::unix::fs::chown(&workspace, Some(1001), Some(1002)).unwrap();
    runner.run(&[]).expect(0);
    for inside in [".switchback/reports/deploy.json", "target/run_results.json"] {
        let found = std::fs::metadata(workspace.join(inside)).unwrap();
        assert_eq!((found.uid(), found.gid()), (1001, 1002), "{inside}");
    }
}

#[test]
fn init_writes_the_files_once_and_says_what_to_do_next() {
    let Some(runner) = Runner::new() else { return };
    let run = runner.world.run(&["init"]);
    // `init` needs no dbt, but takes the option that says where it is.
    let run = run.expect(0);
    assert!(run.out.contains("switchback-rollback.yml"), "{}", run.out);
    let folder = runner.world.project().join(".github/workflows");
    let text = std::fs::read_to_string(folder.join("switchback-deploy.yml")).unwrap();
    assert!(text.contains("runs-on: [self-hosted, linux]"), "{text}");
    assert!(text.contains("target: prod"), "{text}");
    runner.world.run(&["init"]).expect(0);
    runner.world.run(&["init", "--environment", "eu"]).expect(2);
    runner.world.run(&["init", "--environment", "eu", "--force"]).expect(0);
}
