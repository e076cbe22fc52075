//! Against a tiny server that answers as Snowflake does, or does not answer.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;
use crate::adapter::snowflake::profile::Credential;
use crate::config::secret::Secret;
use crate::failure::Kind;

enum Reply {
    Json(String),
    /// Closes the connection without an answer.
    Lost,
    /// Answers after a while.
    Late(Duration, String),
}

type Log = Arc<Mutex<Vec<String>>>;

/// Serves requests, each by a thread; logs the statement, or what the request is for.
fn serve(answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> (u16, Log) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let log = Log::default();
    let (seen, answer) = (Arc::clone(&log), Arc::new(answer));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
            std::thread::spawn(move || {
                let mut stream = stream.unwrap();
                let what = request(&mut stream);
                seen.lock().unwrap().push(what.clone());
                let body = match answer(&what) {
                    Reply::Lost => return,
                    Reply::Json(body) => body,
                    Reply::Late(pause, body) => {
                        std::thread::sleep(pause);
                        body
                    }
                };
                let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
                let _ = write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            });
        }
    });
    (port, log)
}

fn request(stream: &mut TcpStream) -> String {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut buffer).unwrap();
        bytes.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().unwrap())
        });
        if body.len() < length.unwrap_or(0) {
            continue;
        }
        let json: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
        if head.contains("/session/v1/login-request") {
            let tag = &json["data"]["SESSION_PARAMETERS"]["QUERY_TAG"];
            return format!("login {}", tag.as_str().unwrap_or_default());
        }
        if head.contains("/queries/v1/abort-request") {
            return "abort".to_owned();
        }
        return json["sqlText"].as_str().unwrap_or_default().to_owned();
    }
}

fn login() -> Reply {
    Reply::Json(r#"{"success":true,"data":{"token":"t"}}"#.to_owned())
}

fn one() -> String {
    r#"{"success":true,"data":{"queryId":"q","rowset":[["1"]],"queryResultFormat":"json","rowtype":
    [{"name":"A","type":"text","nullable":true,"scale":null,"precision":null,"length":9,"byteLength":9}]}}"#
        .to_owned()
}

fn error(code: &str, message: &str) -> Reply {
    Reply::Json(format!(r#"{{"success":false,"code":"{code}","message":"{message}","data":null}}"#))
}

fn pool(port: u16) -> Sessions {
    let settings = Settings {
        account: "acct".to_owned(),
        user: "u".to_owned(),
        credential: Credential::Password { password: Secret::new("hunter2"), passcode: None },
        role: Some("R".to_owned()),
        warehouse: Some("W".to_owned()),
        database: "d".to_owned(),
        schema: "s".to_owned(),
        address: Some(format!("http://127.0.0.1:{port}")),
        proxy: None,
        query_tag: None,
        retries: 1,
        connect_timeout: None,
        keep_alive: false,
    };
    let limits = Limits { sessions: 3, pause: Duration::from_millis(1), ..Limits::default() };
    Sessions::new(settings, limits).unwrap()
}

fn tag(step: &str) -> Tag {
    Tag::new("run", "r2", step)
}

fn logged(log: &Log) -> Vec<String> {
    log.lock().unwrap().clone()
}

#[tokio::test]
async fn a_session_is_opened_when_it_is_needed_and_keeps_its_tag() {
    let (port, log) = serve(|what| match what {
        login_request if login_request.starts_with("login") => login(),
        _ => Reply::Json(one()),
    });
    let pool = pool(port);
    assert!(logged(&log).is_empty());
    let rows = pool.read(&tag("clone"), "select 1").await.unwrap();
    assert_eq!(rows.columns, ["A"]);
    assert_eq!(rows.rows, [[Some("1".to_owned())]]);
    pool.write(&tag("clone"), "update x").await.unwrap();
    pool.read(&tag("swap"), "select 2").await.unwrap();
    assert_eq!(
        logged(&log),
        [
            "login switchback/run/r2/clone",
            "select 1",
            "update x",
            "ALTER SESSION SET QUERY_TAG = 'switchback/run/r2/swap'",
            "select 2",
        ]
    );
}

#[tokio::test]
async fn a_read_is_asked_again_and_a_write_never() {
    let left = AtomicUsize::new(2);
    let (port, log) = serve(move |what| match what {
        what if what.starts_with("login") => login(),
        "alter swap" => Reply::Lost,
        _ if left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
            .is_ok() =>
        {
            Reply::Lost
        }
        _ => Reply::Json(one()),
    });
    let pool = pool(port);
    pool.read(&tag("x"), "select 1").await.unwrap();
    let lost = pool.write(&tag("x"), "alter swap").await.unwrap_err();
    assert!(matches!(lost, PortError::Unknown(_)), "{lost}");
    assert_eq!(logged(&log).iter().filter(|what| *what == "select 1").count(), 3);
    assert_eq!(logged(&log).iter().filter(|what| *what == "alter swap").count(), 1);
}

#[tokio::test]
async fn a_session_that_was_gone_before_the_statement_is_opened_again() {
    let gone = AtomicUsize::new(1);
    let (port, log) = serve(move |what| match what {
        what if what.starts_with("login") => login(),
        _ if gone.swap(0, Ordering::SeqCst) == 1 => error("390112", "Your session has expired."),
        _ => Reply::Json(one()),
    });
    pool(port).write(&tag("x"), "alter swap").await.unwrap();
    let login = "login switchback/run/r2/x";
    assert_eq!(logged(&log), [login, "alter swap", login, "alter swap"]);
}

#[tokio::test]
async fn a_wrong_password_is_tried_once_and_never_printed() {
    let (port, log) =
        serve(|_| error("390100", "Incorrect username or password was specified: hunter2"));
    let pool = pool(port);
    let statements = (0..6).map(|n| format!("select {n}")).collect();
    let failure = match pool.read_all(&tag("x"), statements).await.unwrap_err() {
        PortError::Refused(failure) => failure,
        PortError::Unknown(error) => panic!("{error}"),
    };
    assert_eq!(failure.kind, Kind::Usage);
    assert!(failure.message.contains("user u cannot sign in"), "{failure}");
    assert!(!format!("{failure} {failure:?}").contains("hunter2"));
    assert_eq!(logged(&log).len(), 1);
}

#[tokio::test]
async fn what_the_server_answered_is_a_refusal_unless_it_ran() {
    let (port, _) = serve(|what| match what {
        what if what.starts_with("login") => login(),
        "no warehouse" => error("000606", "No active warehouse selected in the current session."),
        "cancelled" => error("000604", "SQL execution canceled"),
        _ => error(
            "002003",
            "SQL compilation error:\\nDatabase 'X' does not exist or not authorized.",
        ),
    });
    let pool = pool(port);
    let warehouse = pool.write(&tag("x"), "no warehouse").await.unwrap_err();
    assert!(matches!(&warehouse, PortError::Refused(failure) if failure.kind == Kind::Usage));
    assert!(warehouse.to_string().contains("warehouse W does not exist, or role R"), "{warehouse}");
    let missing = pool.write(&tag("x"), "alter database x").await.unwrap_err();
    assert!(matches!(missing, PortError::Refused(_)));
    assert!(missing.to_string().contains("(Snowflake 002003)"), "{missing}");
    for statement in ["cancelled", "execute immediate $$ begin … end $$"] {
        let ran = pool.write(&tag("x"), statement).await.unwrap_err();
        assert!(matches!(ran, PortError::Unknown(_)), "{statement}: {ran}");
    }
}

#[tokio::test]
async fn no_more_statements_run_at_once_than_there_are_sessions() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let high = Arc::clone(&most);
    let (port, log) = serve(move |what| {
        if what.starts_with("login") {
            return login();
        }
        high.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(30));
        now.fetch_sub(1, Ordering::SeqCst);
        Reply::Json(one())
    });
    let statements = (0..12).map(|n| format!("grant {n}")).collect();
    let rows = whole(pool(port).run_all(&tag("x"), statements).await).unwrap();
    assert_eq!(rows.len(), 12);
    assert_eq!(most.load(Ordering::SeqCst), 3);
    assert!(logged(&log).iter().filter(|what| what.starts_with("login")).count() <= 3);
}

#[tokio::test]
async fn a_batch_that_was_done_in_part_is_not_refused() {
    let (port, _) = serve(|what| match what {
        what if what.starts_with("login") => login(),
        "grant 3" => error("003001", "Insufficient privileges"),
        _ => Reply::Json(one()),
    });
    let pool = pool(port);
    let statements = (0..9).map(|n| format!("grant {n}")).collect();
    let error = whole(pool.run_all(&tag("x"), statements).await).unwrap_err();
    assert!(matches!(&error, PortError::Unknown(_)));
    assert!(error.to_string().contains("of 9 statements were done"), "{error}");
    let refused = whole(pool.run_all(&tag("x"), vec!["grant 3".to_owned()]).await).unwrap_err();
    assert!(matches!(refused, PortError::Refused(_)));
}

#[tokio::test]
async fn a_caller_that_goes_away_cancels_its_statement_on_the_server() {
    let (port, log) = serve(|what| match what {
        what if what.starts_with("login") => login(),
        "abort" => Reply::Json(r#"{"success":true}"#.to_owned()),
        _ => Reply::Late(Duration::from_secs(5), one()),
    });
    let pool = pool(port);
    let tag = tag("x");
    let waiting = pool.write(&tag, "create database clone");
    assert!(tokio::time::timeout(Duration::from_millis(500), waiting).await.is_err());
    for _ in 0..100 {
        if logged(&log).contains(&"abort".to_owned()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{:?}", logged(&log));
}
