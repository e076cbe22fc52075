//! A small HTTP server for tests: it remembers what it heard and answers what it is told to.

#![allow(dead_code)] // each test crate uses a part of it

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

/// One request.
#[derive(Clone, Debug)]
pub struct Heard {
    /// `GET`, …
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body; null where there is none.
    pub body: Value,
}

/// What is answered.
pub enum Reply {
    /// Status, headers, body.
    Answer(u16, Vec<(&'static str, String)>, String),
    /// Nothing, and the connection stays open for so long.
    Hang(Duration),
    /// The connection is closed in the middle of the answer.
    Break,
}

impl Reply {
    /// A JSON answer.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::Answer(status, Vec::new(), body.to_string())
    }
}

/// The server; it ends with the process.
pub struct Server {
    /// `http://127.0.0.1:PORT`.
    pub address: String,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Server {
    /// Starts it. `reply` gets the request and how many came before it.
    pub fn start(reply: impl Fn(&Heard, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (keep, reply) = (heard.clone(), Arc::new(reply));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (keep, reply) = (keep.clone(), reply.clone());
                std::thread::spawn(move || {
                    let _ = serve(stream, &keep, reply.as_ref());
                });
            }
        });
        Self { address, heard }
    }

    /// What was heard so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// `METHOD path` of what was heard so far.
    pub fn lines(&self) -> Vec<String> {
        self.heard().iter().map(|one| format!("{} {}", one.method, one.path)).collect()
    }
}

fn serve(
    mut stream: TcpStream,
    keep: &Mutex<Vec<Heard>>,
    reply: &dyn Fn(&Heard, usize) -> Reply,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(());
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let heard = Heard { method, path, headers, body };
    let before = {
        let mut all = keep.lock().unwrap();
        all.push(heard.clone());
        all.len() - 1
    };
    match reply(&heard, before) {
        Reply::Answer(status, headers, body) => {
            write!(stream, "HTTP/1.1 {status} Whatever\r\ncontent-type: application/json\r\n")?;
            for (name, value) in headers {
                write!(stream, "{name}: {value}\r\n")?;
            }
            write!(stream, "connection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        }
        Reply::Hang(time) => {
            std::thread::sleep(time);
            Ok(())
        }
        Reply::Break => write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n[{{"),
    }
}
