//! What an answer of GitHub's amounts to: good, to be repeated later, a fault of its own, or a
//! refusal, in words that say what to change.
//!
//! Pure. May import nothing of this crate.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, StatusCode};

/// An answer that has arrived whole.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
}

/// What to make of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is what was asked for.
    Good,
    /// GitHub wants to be asked again later; the words are for whoever does not wait.
    Wait(Duration, String),
    /// GitHub failed on its own side.
    Fault(String),
    /// GitHub refused.
    Bad(String),
}

/// How long to wait where GitHub limits us without saying for how long.
const UNSAID: Duration = Duration::from_secs(60);
/// How much of GitHub's own words is repeated.
const WORDS: usize = 300;

/// Judges an answer to `what`, which takes the permission `needs`.
pub fn judge(answer: &Answer, needs: &str, what: &str) -> Verdict {
    let status = answer.status;
    if status.is_success() {
        return Verdict::Good;
    }
    let said = words(&answer.body);
    let limited = status == StatusCode::TOO_MANY_REQUESTS
        || (status == StatusCode::FORBIDDEN && is_limit(answer, &said));
    if limited {
        let wait = patience(&answer.headers);
        return Verdict::Wait(
            wait,
            format!("{what}: GitHub limits requests and asks to wait {} s", wait.as_secs()),
        );
    }
    if status.is_server_error() {
        return Verdict::Fault(format!("{what}: GitHub failed with {status}{said}"));
    }
    let add = format!("add to the workflow's or the job's permissions:  {needs}");
    Verdict::Bad(match status {
        StatusCode::UNAUTHORIZED => format!(
            "{what}: GitHub does not know the token ({status}){said}; leave the input \
             `github-token` out, or give it a token that is valid"
        ),
        // GitHub answers 404 where a token may not even know that something is there.
        StatusCode::FORBIDDEN => {
            format!("{what}: the token may not do that ({status}){said}; {add}")
        }
        StatusCode::NOT_FOUND => format!(
            "{what}: not found, or the token may not see it ({status}){said}; if it is there, {add}"
        ),
        _ => format!("{what}: GitHub refused with {status}{said}"),
    })
}

fn is_limit(answer: &Answer, said: &str) -> bool {
    answer.headers.contains_key("retry-after")
        || header(&answer.headers, "x-ratelimit-remaining") == Some("0")
        || said.to_lowercase().contains("rate limit")
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn patience(headers: &HeaderMap) -> Duration {
    if let Some(seconds) = header(headers, "retry-after").and_then(|text| text.trim().parse().ok())
    {
        return Duration::from_secs(seconds);
    }
    let reset = header(headers, "x-ratelimit-reset").and_then(|text| text.trim().parse().ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    reset.map_or(UNSAID, |at| Duration::from_secs(at).saturating_sub(now))
}

/// GitHub's own words, as the end of a clause; empty if it said nothing we can read.
fn words(body: &[u8]) -> String {
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(body) else {
        return String::new();
    };
    let mut said: Vec<String> = Vec::new();
    said.extend(value["message"].as_str().map(str::to_owned));
    for error in value["errors"].as_array().into_iter().flatten().take(3) {
        let text = error["message"].as_str().or(error.as_str()).map(str::to_owned);
        said.extend(text.or_else(|| {
            let part = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
            let text = [part("resource"), part("field"), part("code")].join(" ");
            (!text.trim().is_empty()).then(|| text.trim().to_owned())
        }));
    }
    if said.is_empty() {
        return String::new();
    }
    let text: String =
        said.join(", ").chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let end = text.char_indices().nth(WORDS);
    format!(": {}", end.map_or(text.as_str(), |(at, _)| &text[..at]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &str)], body: &str) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: headers
                .iter()
                .map(|(name, value)| {
                    (name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap())
                })
                .collect(),
            body: body.as_bytes().to_vec(),
        }
    }

    #[test]
    fn a_missing_permission_is_named_with_the_line_to_add() {
        let body = r#"{"message": "Resource not accessible by integration"}"#;
        let verdict =
            judge(&answer(403, &[], body), "deployments: write", "recording a deployment");
        assert_eq!(
            verdict,
            Verdict::Bad(
                "recording a deployment: the token may not do that (403 Forbidden): Resource not \
                 accessible by integration; add to the workflow's or the job's permissions:  \
                 deployments: write"
                    .into()
            )
        );
    }

    #[test]
    fn a_limit_is_not_taken_for_a_missing_permission() {
        for (headers, seconds) in
            [(&[("retry-after", "7")][..], 7), (&[("x-ratelimit-remaining", "0")], 60)]
        {
            let verdict = judge(&answer(403, headers, "{}"), "x", "y");
            assert!(matches!(verdict, Verdict::Wait(wait, _) if wait.as_secs() == seconds));
        }
        let body = r#"{"message": "You have exceeded a secondary rate limit."}"#;
        assert!(matches!(judge(&answer(403, &[], body), "x", "y"), Verdict::Wait(..)));
        assert!(matches!(judge(&answer(429, &[], ""), "x", "y"), Verdict::Wait(..)));
    }

    #[test]
    fn what_is_wrong_with_a_request_is_told_in_githubs_words() {
        let body = r#"{"message": "Validation Failed", "errors": [
            {"resource": "Deployment", "code": "invalid", "field": "ref"}, "odd", {"message": "m"}]}"#;
        let Verdict::Bad(text) = judge(&answer(422, &[], body), "x", "y") else { panic!() };
        assert!(text.ends_with(": Validation Failed, Deployment ref invalid, odd, m"), "{text}");
        assert!(matches!(judge(&answer(503, &[], "<html>"), "x", "y"), Verdict::Fault(_)));
    }
}
