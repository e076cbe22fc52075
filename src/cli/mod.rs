//! The command line: reads arguments, watches signals, runs a verb, prints its answer and decides
//! the exit code.
//!
//! Standard output carries the answer and nothing else; progress and dbt's log go to standard
//! error. With `--format json` exactly one object is printed on every exit.

mod parse;
mod progress;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::config::{Config, Format, format_of};
use crate::domain::name::ReleaseId;
use crate::domain::plan::Verb;
use crate::engine;
use crate::failure::{Failure, Kind, Outcome};
use crate::ports::{Halt, Observer, halted as until_halted};
use crate::report::{Answer, answer_json, answer_text, failure_json, failure_text};
use crate::verb::site::{Site, Surroundings};
use crate::verb::{
    demo, deploy, doctor, hold, init, mark, promote, prune, recover, releases, rollback, status,
};

pub use parse::{Invocation, Parsed, parse};
pub use progress::{Progress, describe};

/// How a run ended, for whoever started it.
pub struct Ended {
    /// The answer, or the failure.
    pub result: Outcome<Answer>,
    /// The process's exit code.
    pub code: u8,
}

/// Runs the command line of this process.
pub async fn main(arguments: Vec<String>) -> ExitCode {
    ExitCode::from(match parse(&arguments) {
        Parsed::Text(text, code) => {
            print(if code == 0 { Stream::Out } else { Stream::Error }, &text);
            if code != 0 && wants_json(&arguments) {
                let failure = Failure::usage(text.trim().to_owned());
                print(Stream::Out, &format!("{}\n", failure_json(&failure)));
            }
            code
        }
        Parsed::Run(invocation) => {
            let format = format_of(&invocation.given);
            let progress = Rc::new(Progress::to_stderr());
            let ended = match watch_signals() {
                Ok(halt) => execute(&invocation, progress.clone(), halt).await,
                Err(failure) => Ended { code: failure.kind.exit_code(), result: Err(failure) },
            };
            progress.finish();
            let format = format.unwrap_or(Format::Text);
            say(&ended.result, format);
            ended.code
        }
    })
}

/// A sender of reasons to end early.
pub type Halting = Rc<watch::Sender<Option<Halt>>>;

/// Runs one verb, without printing its answer.
pub async fn execute(invocation: &Invocation, observer: Rc<dyn Observer>, halt: Halting) -> Ended {
    let result = run(invocation, observer, halt).await;
    let code = match &result {
        Ok(Answer::Doctor(checks)) if checks.iter().any(|check| check.found.is_err()) => {
            Kind::Usage.exit_code()
        }
        Ok(_) => 0,
        Err(failure) => failure.kind.exit_code(),
    };
    Ended { result, code }
}

async fn run(
    invocation: &Invocation,
    observer: Rc<dyn Observer>,
    halt: Halting,
) -> Outcome<Answer> {
    format_of(&invocation.given)?;
    let cwd = std::env::current_dir().map_err(|error| {
        Failure::usage("the current directory cannot be read").because(error.into())
    })?;
    let config = Config::load(&invocation.given, &cwd)?;
    let mut halted = halt.subscribe();
    let one = |name: &str| invocation.given.get(name).and_then(|values| values.last()).cloned();
    if invocation.verb == "demo" {
        let dir = one("dir").map(PathBuf::from);
        return demo::run(dir, &config.dbt_executable, observer, halt).await;
    }
    if invocation.verb == "init" {
        let wish = init::Wish {
            dir: one("dir").map(PathBuf::from),
            environment: one("environment").unwrap_or_else(|| "production".to_owned()),
            with_approval: invocation.given.contains_key("with-approval"),
            force: invocation.given.contains_key("force"),
        };
        return init::run(&config, &cwd, &wish).await;
    }
    let around = Surroundings {
        cwd,
        env: Arc::new(|name: &str| std::env::var(name).ok()),
        observer,
        halt,
        options: invocation.options_again(),
        runs_dbt: matches!(invocation.verb.as_str(), "deploy" | "build" | "promote"),
    };
    // Opening may sign in; nothing is touched yet, so it can be ended anywhere.
    let site = tokio::select! {
        site = Site::open(config, around) => site?,
        reason = until_halted(&mut halted) => return Err(engine::halted(&reason)),
    };
    let named: Vec<ReleaseId> = invocation
        .releases
        .iter()
        .map(|text| text.parse().map_err(Failure::usage))
        .collect::<Outcome<_>>()?;
    let verb = invocation.verb.as_str();
    let probes = verb == "doctor" && invocation.given.contains_key("probe");
    if probes {
        return doctor::probe(&site).await; // it drops what it made when it is to end
    }
    let work = perform(&site, verb, &named, one("to"), one("name"));
    // What only reads can be ended anywhere; what changes something ends itself where it may.
    if matches!(verb, "releases" | "status" | "doctor") {
        tokio::select! {
            answer = work => answer,
            reason = until_halted(&mut halted) => Err(engine::halted(&reason)),
        }
    } else {
        work.await
    }
}

async fn perform(
    site: &Site,
    verb: &str,
    named: &[ReleaseId],
    to: Option<String>,
    name: Option<String>,
) -> Outcome<Answer> {
    match verb {
        "deploy" => deploy::run(site, Verb::Deploy).await,
        "build" => deploy::run(site, Verb::Build).await,
        "promote" => promote::run(site, named.first().copied()).await,
        "rollback" => rollback::run(site, to.as_deref()).await,
        "releases" => releases::run(site).await,
        "status" => status::run(site).await,
        "recover" => recover::run(site).await,
        "prune" => prune::run(site, named).await,
        "mark" => mark::run(site, name.as_deref()).await,
        "hold" => hold::hold(site).await,
        "resume" => hold::resume(site).await,
        "doctor" => doctor::run(site).await,
        other => {
            Err(Failure::usage(format!("there is no verb `{other}`")).next("switchback --help"))
        }
    }
}

/// Turns SIGINT and SIGTERM into a reason to halt; the run then ends as its state allows.
pub fn watch_signals() -> Outcome<Halting> {
    let (sender, _) = watch::channel(None);
    let listen = |kind| {
        signal(kind).map_err(|error| {
            Failure::new(Kind::Unexpected, "signals cannot be watched").because(error.into())
        })
    };
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let announce = sender.clone();
    tokio::spawn(async move {
        loop {
            let halt = tokio::select! {
                _ = interrupt.recv() => Halt::Interrupt,
                _ = terminate.recv() => Halt::Terminate,
            };
            announce.send_replace(Some(halt));
        }
    });
    Ok(Rc::new(sender))
}

fn say(result: &Outcome<Answer>, format: Format) {
    match (result, format) {
        (Ok(answer), Format::Text) => print(Stream::Out, &answer_text(answer)),
        (Ok(answer), Format::Json) => print(Stream::Out, &format!("{}\n", answer_json(answer))),
        (Err(failure), Format::Text) => print(Stream::Error, &failure_text(failure)),
        (Err(failure), Format::Json) => {
            print(Stream::Error, &failure_text(failure));
            print(Stream::Out, &format!("{}\n", failure_json(failure)));
        }
    }
}

fn wants_json(arguments: &[String]) -> bool {
    arguments.iter().any(|argument| argument == "--format=json")
        || arguments.windows(2).any(|pair| pair[0] == "--format" && pair[1] == "json")
}

/// Where text goes.
#[derive(Clone, Copy)]
pub(crate) enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Error,
}

/// Prints, and does not fail where nobody reads any more.
pub(crate) fn print(stream: Stream, text: &str) {
    let _ = match stream {
        Stream::Out => {
            let mut out = std::io::stdout().lock();
            out.write_all(text.as_bytes()).and_then(|()| out.flush())
        }
        Stream::Error => std::io::stderr().lock().write_all(text.as_bytes()),
    };
}
