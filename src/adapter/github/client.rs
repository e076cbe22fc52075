//! Requests: sent with a time-out, repeated where that is safe, their answers judged.
//!
//! May import its sibling `answer`, and `ports`.

use std::time::Duration;

use http::StatusCode;
use http_body_util::{BodyExt, Limited};
use octocrab::Octocrab;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{sleep, timeout};

use super::Settings;
use super::answer::{Answer, Verdict, judge};
use crate::config::secret::Secret;
use crate::ports::forge::{Complaint, Told};

/// How often a request is sent at most.
const ATTEMPTS: u32 = 3;
/// How long we wait because GitHub asks for it; beyond that we say so and go on.
const LONGEST_WAIT: Duration = Duration::from_secs(8);
/// How long we wait after GitHub failed on its own side.
const AFTER_A_FAULT: Duration = Duration::from_millis(500);
/// How much of an answer is read.
const MOST_BYTES: usize = 8 << 20;

/// A client for one repository.
pub struct Client {
    octocrab: Octocrab,
    base: String,
    token: Secret,
    patience: Duration,
}

/// What is sent.
enum Method<'a> {
    Get,
    Post(&'a serde_json::Value),
    Patch(&'a serde_json::Value),
}

impl Method<'_> {
    /// Whether sending it twice means the same as once.
    fn repeats(&self) -> bool {
        matches!(self, Self::Get | Self::Patch(_))
    }
}

impl Client {
    /// A client; speaks to nobody yet.
    pub fn new(settings: &Settings) -> Told<Self> {
        let plain = |part: &str| {
            !part.is_empty()
                && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
                && !part.chars().all(|c| c == '.')
        };
        let parts: Vec<&str> = settings.repository.split('/').collect();
        let [owner, name] = parts.as_slice() else {
            return Err(Complaint(format!(
                "GitHub was not told: GITHUB_REPOSITORY is `{}`, not `owner/name`",
                settings.repository
            )));
        };
        if !plain(owner) || !plain(name) {
            return Err(Complaint(format!(
                "GitHub was not told: GITHUB_REPOSITORY is `{}`, not `owner/name`",
                settings.repository
            )));
        }
        let octocrab = Octocrab::builder()
            .base_uri(settings.api.as_str())
            .and_then(|builder| {
                builder
                    .set_connect_timeout(Some(settings.patience))
                    .set_read_timeout(Some(settings.patience))
                    .set_write_timeout(Some(settings.patience))
                    .personal_token(settings.token.expose().to_owned())
                    .build()
            })
            .map_err(|error| {
                let text = settings.token.scrub(&chain(&error));
                Complaint(format!("GitHub was not told: {} cannot be used: {text}", settings.api))
            })?;
        Ok(Self {
            octocrab,
            base: format!("/repos/{owner}/{name}"),
            token: settings.token.clone(),
            patience: settings.patience,
        })
    }

    /// Reads. `needs` is the permission it takes.
    pub async fn get<T: DeserializeOwned>(&self, what: &str, needs: &str, path: &str) -> Told<T> {
        self.request(what, needs, path, &Method::Get).await
    }

    /// Creates. Not repeated where GitHub may have done it already.
    pub async fn create<T: DeserializeOwned>(
        &self,
        what: &str,
        needs: &str,
        path: &str,
        body: &serde_json::Value,
    ) -> Told<T> {
        self.request(what, needs, path, &Method::Post(body)).await
    }

    /// Replaces.
    pub async fn update<T: DeserializeOwned>(
        &self,
        what: &str,
        needs: &str,
        path: &str,
        body: &serde_json::Value,
    ) -> Told<T> {
        self.request(what, needs, path, &Method::Patch(body)).await
    }

    async fn request<T: DeserializeOwned>(
        &self,
        what: &str,
        needs: &str,
        path: &str,
        method: &Method<'_>,
    ) -> Told<T> {
        let mut attempt = 1;
        loop {
            let wait = match self.send(path, method).await {
                Ok(answer) => match judge(&answer, needs, what) {
                    Verdict::Good => {
                        return serde_json::from_slice(&answer.body).map_err(|error| {
                            Complaint(format!(
                                "{what}: GitHub's answer was not understood: {error}"
                            ))
                        });
                    }
                    Verdict::Wait(wait, _) if attempt < ATTEMPTS && wait <= LONGEST_WAIT => wait,
                    Verdict::Fault(_) if attempt < ATTEMPTS && method.repeats() => AFTER_A_FAULT,
                    Verdict::Wait(_, text) | Verdict::Fault(text) | Verdict::Bad(text) => {
                        return Err(Complaint(self.token.scrub(&text)));
                    }
                },
                // It may have arrived, so only what means the same twice is sent again, and once:
                // a second silence is enough.
                Err(Complaint(_)) if attempt == 1 && method.repeats() => AFTER_A_FAULT,
                Err(Complaint(text)) => {
                    return Err(Complaint(self.token.scrub(&format!("{what}: {text}"))));
                }
            };
            sleep(wait).await;
            attempt += 1;
        }
    }

    async fn send(&self, path: &str, method: &Method<'_>) -> Told<Answer> {
        let path = format!("{}{path}", self.base);
        let work = async {
            let response = match method {
                Method::Get => self.octocrab._get(path.as_str()).await,
                Method::Post(body) => self.octocrab._post(path.as_str(), Some(sized(body))).await,
                Method::Patch(body) => self.octocrab._patch(path.as_str(), Some(sized(body))).await,
            };
            let response = response.map_err(|error| chain(&error))?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, MOST_BYTES).collect().await;
            let body = body.map_err(|error| format!("its answer broke off: {error}"))?;
            Ok::<_, String>(Answer {
                status: parts.status,
                headers: parts.headers,
                body: body.to_bytes().to_vec(),
            })
        };
        match timeout(self.patience, work).await {
            Ok(Ok(answer)) if answer.status == StatusCode::NO_CONTENT => {
                Ok(Answer { body: b"null".to_vec(), ..answer })
            }
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(Complaint(format!("GitHub could not be reached: {error}"))),
            Err(_) => Err(Complaint(format!(
                "GitHub did not answer within {} s",
                self.patience.as_secs_f64()
            ))),
        }
    }
}

fn sized(body: &serde_json::Value) -> &(impl Serialize + ?Sized) {
    body
}

/// An error with its causes, each once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut at = error.source();
    while let Some(cause) = at {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        at = cause.source();
    }
    text
}
