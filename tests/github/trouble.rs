//! GitHub refuses, limits, fails, hangs: what is repeated, what is not, and what is said.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use switchback::ports::forge::{DeploymentId, Forge, Progress};

use crate::http::{Heard, Reply, Server};
use crate::{github, wish};

const PATIENCE: Duration = Duration::from_secs(5);

fn refusing(status: u16, message: &'static str) -> Server {
    Server::start(move |_, _| Reply::json(status, &json!({ "message": message })))
}

/// What is said when a status cannot be recorded.
async fn complaint(server: &Server) -> String {
    let github = github(&server.address, PATIENCE);
    github.progress(DeploymentId(1), Progress::Success, "live").await.unwrap_err().0
}

#[tokio::test]
async fn each_refusal_is_named_with_its_way_out() {
    for (status, message, words) in [
        (401, "Bad credentials", &["Bad credentials", "`github-token`"][..]),
        (403, "Resource not accessible by integration", &["permissions:  deployments: write"]),
        (404, "Not Found", &["may not see it", "deployments: write"]),
        (409, "Conflict: merging failed", &["refused with 409", "merging failed"]),
        (422, "Validation Failed", &["refused with 422", "Validation Failed"]),
        (301, "Moved Permanently", &["refused with 301"]),
    ] {
        let server = refusing(status, message);
        let said = complaint(&server).await;
        for word in words {
            assert!(said.contains(word), "{status}: {said}");
        }
        assert_eq!(server.heard().len(), 1, "{status} was repeated");
    }
}

#[tokio::test]
async fn a_missing_permission_for_the_comment_is_another_one() {
    let server = refusing(403, "Resource not accessible by integration");
    let github = github(&server.address, PATIENCE);
    let said = github.comment(3, "<!-- m -->", "<!-- m --> hi").await.unwrap_err().0;
    assert!(said.contains("permissions:  pull-requests: write"), "{said}");
}

#[tokio::test]
async fn a_limit_is_waited_for_where_it_is_short() {
    let server = Server::start(|_, before| match before {
        0 => Reply::Answer(429, vec![("retry-after", "1".into())], "{}".into()),
        _ => Reply::json(201, &json!({ "id": 1 })),
    });
    let began = Instant::now();
    let github = github(&server.address, PATIENCE);
    github.progress(DeploymentId(1), Progress::Success, "live").await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(server.heard().len(), 2);
}

#[tokio::test]
async fn a_long_limit_is_not_waited_for() {
    for status in [429, 403] {
        let server = Server::start(move |_, _| {
            Reply::Answer(status, vec![("retry-after", "3600".into())], "{}".into())
        });
        let began = Instant::now();
        let said = complaint(&server).await;
        assert!(began.elapsed() < Duration::from_secs(4));
        assert!(said.contains("asks to wait 3600 s"), "{said}");
    }
}

#[tokio::test]
async fn what_creates_something_is_not_repeated_after_a_fault_and_what_reads_is() {
    let server = refusing(502, "Bad gateway");
    assert!(complaint(&server).await.contains("failed with 502"));
    assert_eq!(server.heard().len(), 1);
    let server = Server::start(|_, before| match before {
        0 | 1 => Reply::Answer(503, Vec::new(), "<html>".into()),
        _ => Reply::json(200, &json!([])),
    });
    let found = github(&server.address, PATIENCE).pull_request(&"abc".into()).await;
    assert_eq!(found, Ok(None));
    assert_eq!(server.heard().len(), 3);
}

#[tokio::test]
async fn a_server_that_hangs_or_breaks_off_or_is_not_there_is_given_up() {
    let short = Duration::from_millis(300);
    let hanging = Server::start(|_, _| Reply::Hang(Duration::from_secs(20)));
    let began = Instant::now();
    let said = github(&hanging.address, short).pull_request(&"abc".into()).await.unwrap_err().0;
    assert!(said.contains("did not answer within 0.3 s"), "{said}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());

    let breaking = Server::start(|_, _| Reply::Break);
    let said = github(&breaking.address, PATIENCE).pull_request(&"abc".into()).await.unwrap_err();
    assert!(said.0.contains("GitHub could not be reached"), "{said}");

    let said = github("http://127.0.0.1:1", PATIENCE).pull_request(&"abc".into()).await;
    assert!(said.unwrap_err().0.contains("GitHub could not be reached"));
}

#[tokio::test]
async fn an_answer_that_is_not_githubs_is_not_believed() {
    let server = Server::start(|_, _| Reply::Answer(200, Vec::new(), "<html>hello".into()));
    let said = github(&server.address, PATIENCE).pull_request(&"abc".into()).await.unwrap_err();
    assert!(said.0.contains("was not understood"), "{said}");
}

#[tokio::test]
async fn the_token_is_sent_and_never_said() {
    let server = Server::start(|heard, _| {
        let token = heard.headers["authorization"].clone();
        Reply::json(403, &json!({ "message": format!("no: {token}") }))
    });
    let said = complaint(&server).await;
    assert!(said.contains("no: Bearer ***"), "{said}");
    assert!(!said.contains("hush"), "{said}");
    assert_eq!(server.heard()[0].headers["authorization"], "Bearer hush-token");
}

/// A GitHub that knows two deployments, of which this run made the second.
fn with_two_deployments(heard: &Heard) -> Reply {
    let statuses = |run: &str, state: &str| {
        let url = format!("https://github.com/octo/shop/actions/runs/{run}/job/1");
        Reply::json(200, &json!([{ "id": 9, "state": state, "log_url": url }]))
    };
    let path = heard.path.split('?').next().unwrap();
    match (heard.method.as_str(), path.strip_prefix("/repos/octo/shop").unwrap()) {
        ("GET", "/deployments") => Reply::json(200, &json!([{ "id": 11 }, { "id": 12 }])),
        ("GET", "/deployments/11/statuses") => statuses("77", "success"),
        ("GET", "/deployments/12/statuses") => statuses("7", "in_progress"),
        ("POST", _) => Reply::json(201, &json!({ "id": 13 })),
        _ => Reply::json(404, &json!({})),
    }
}

#[tokio::test]
async fn a_deployment_that_the_job_has_made_already_is_used() {
    let server = Server::start(|heard, _| with_two_deployments(heard));
    let found = github(&server.address, PATIENCE).deployment(&wish()).await;
    assert_eq!(found, Ok(DeploymentId(12)));
    let lines = server.lines();
    assert!(lines[0].contains("sha=0123456789abcdef"), "{lines:?}");
    assert!(lines[0].contains("environment=production"), "{lines:?}");
    assert!(!lines.iter().any(|line| line.starts_with("POST")), "{lines:?}");
}

#[tokio::test]
async fn only_what_counted_as_live_becomes_inactive() {
    let server = Server::start(|heard, _| with_two_deployments(heard));
    let github = github(&server.address, PATIENCE);
    assert_eq!(github.supersede("production", DeploymentId(12)).await, Ok(1));
    let posts: Vec<Heard> =
        server.heard().into_iter().filter(|heard| heard.method == "POST").collect();
    assert_eq!(posts.len(), 1);
    assert_eq!(posts[0].path, "/repos/octo/shop/deployments/11/statuses");
    assert_eq!(posts[0].body["state"], "inactive");
}

#[tokio::test]
async fn a_comment_is_found_again_on_a_later_page_and_updated() {
    let server = Server::start(|heard, _| {
        let other = |id: u32| json!({ "id": id, "body": "see <!-- m --> there" });
        match heard.method.as_str() {
            "GET" if heard.path.contains("&page=1") => {
                Reply::json(200, &Value::from((0..100).map(other).collect::<Vec<_>>()))
            }
            "GET" => {
                Reply::json(200, &json!([other(100), { "id": 555, "body": "<!-- m -->\nold" }]))
            }
            "PATCH" => Reply::json(200, &json!({ "id": 555 })),
            _ => Reply::json(500, &json!({})),
        }
    });
    github(&server.address, PATIENCE).comment(3, "<!-- m -->", "<!-- m -->\nnew").await.unwrap();
    let heard = server.heard();
    assert_eq!(heard.len(), 3);
    assert_eq!(heard[2].path, "/repos/octo/shop/issues/comments/555");
    assert_eq!(heard[2].body["body"], "<!-- m -->\nnew");
}

#[tokio::test]
async fn a_repository_that_is_none_is_refused_before_anything_is_sent() {
    use switchback::adapter::github::{GitHub, Settings};
    use switchback::config::secret::Secret;
    for repository in ["", "shop", "a/b/c", "a/..", "a b/c", "a/b?x"] {
        let settings = Settings {
            api: "http://127.0.0.1:1".into(),
            repository: repository.into(),
            token: Secret::new("t"),
            run_id: None,
            run_url: None,
            environment_url: None,
            patience: PATIENCE,
        };
        assert!(GitHub::new(settings).is_err(), "{repository}");
    }
}
