//! The GitHub client: against GitHub's own description of its API (`prism`), and against a server
//! that misbehaves (`trouble`).

#![allow(clippy::unwrap_used, clippy::print_stderr)] // a test fails by panicking

#[path = "../support/http.rs"]
mod http;
mod prism;
mod trouble;

use std::time::Duration;

use switchback::adapter::github::{GitHub, Settings};
use switchback::config::secret::Secret;
use switchback::ports::forge::{Task, Wish};

/// A client of the API at `api`.
fn github(api: &str, patience: Duration) -> GitHub {
    GitHub::new(Settings {
        api: api.to_owned(),
        repository: "octo/shop".to_owned(),
        token: Secret::new("hush-token"),
        run_id: Some("7".to_owned()),
        run_url: Some("https://github.com/octo/shop/actions/runs/7".to_owned()),
        environment_url: Some("https://bi.example.com".to_owned()),
        patience,
    })
    .unwrap()
}

fn wish() -> Wish {
    Wish {
        commit: "0123456789abcdef0123456789abcdef01234567".into(),
        environment: "production".to_owned(),
        task: Task::Deploy,
        description: "being deployed".to_owned(),
    }
}
