//! One dbt process: started, its output handed on as it comes, ended when it must be.
//!
//! Standard output and standard error share one pipe, so that the order of lines is dbt's own.
//!
//! May import `failure`, `ports` and the shared `process`.

use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::pin::{Pin, pin};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context;
use tokio::io::AsyncReadExt;
use tokio::process::{ChildStdout, Command};
use tokio::time::{Instant, sleep_until, timeout};

use crate::adapter::process::{self, Tree};
use crate::failure::Outcome;
use crate::ports::{Halt, HaltReceiver, halted};

/// How long dbt may take to cancel its queries after SIGINT. A cancelled workflow kills everything
/// ten seconds after its first signal, and we need some of that ourselves.
const GENTLE: Duration = Duration::from_secs(3);
/// How long output may trail after the process has ended.
const TRAIL: Duration = Duration::from_secs(2);

/// How a dbt process ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, or by a signal of somebody else.
    Exited(ExitStatus),
    /// We were asked to stop, and ended it.
    Halted(Halt),
    /// Its time was over, and we ended it.
    TimedOut,
}

/// Runs a process to its end. `sink` gets every piece of its output.
pub async fn run(
    command: Command,
    mut sink: impl FnMut(&[u8]),
    mut halt: HaltReceiver,
    deadline: Instant,
) -> Outcome<Ended> {
    let (mut tree, mut output) = start(command)?;
    let pump = async {
        let mut buffer = vec![0; 1 << 14];
        loop {
            match output.read(&mut buffer).await {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return,
                Ok(read) => sink(&buffer[..read]),
            }
        }
    };
    let pump = pin!(pump);
    let mut pump = Side::new(pump);
    let ended = pump
        .beside(async {
            tokio::select! {
                status = tree.wait() => status.map(Ended::Exited),
                why = halted(&mut halt) => Ok(Ended::Halted(why)),
                () = sleep_until(deadline) => Ok(Ended::TimedOut),
            }
        })
        .await
        .context("waiting for dbt")?;
    if !matches!(ended, Ended::Exited(_)) {
        let end = pump.beside(tree.end(GENTLE)).await;
        end.context("ending dbt")?;
    }
    // Whatever held the pipe open was killed with the tree; what it wrote may still be in it.
    let _ = timeout(TRAIL, pump.finish()).await;
    Ok(ended)
}

fn start(mut command: Command) -> Outcome<(Tree, ChildStdout)> {
    let shown = command.as_std().get_program().to_string_lossy().into_owned();
    let start = move || -> io::Result<(Tree, ChildStdout)> {
        let (reader, writer) = io::pipe()?;
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
        let tree = process::spawn(&mut command)?;
        // `command` holds the pipe's other end and goes here, or the output would never end.
        drop(command);
        let reader = std::process::ChildStdout::from(OwnedFd::from(reader));
        Ok((tree, ChildStdout::from_std(reader)?))
    };
    Ok(start().with_context(|| format!("starting {shown}"))?)
}

/// A future that goes on beside others until it is done.
struct Side<'a, F> {
    future: Pin<&'a mut F>,
    done: bool,
}

impl<'a, F: Future<Output = ()>> Side<'a, F> {
    fn new(future: Pin<&'a mut F>) -> Self {
        Self { future, done: false }
    }

    async fn beside<T>(&mut self, main: impl Future<Output = T>) -> T {
        let mut main = pin!(main);
        loop {
            tokio::select! {
                value = &mut main => return value,
                () = self.future.as_mut(), if !self.done => self.done = true,
            }
        }
    }

    async fn finish(&mut self) {
        if !self.done {
            self.future.as_mut().await;
            self.done = true;
        }
    }
}

/// What an exit status means for dbt, as part of a sentence; `None` for success.
#[must_use]
pub fn meaning(status: ExitStatus) -> Option<String> {
    match (status.code(), status.signal()) {
        (Some(0), _) => None,
        (Some(1), _) => {
            Some("ended with exit code 1: nodes failed, or dbt refused to go on".into())
        }
        (Some(2), _) => {
            Some("ended with exit code 2: dbt could not handle an error or an option".into())
        }
        (Some(code), _) => {
            Some(format!("ended with exit code {code}, which dbt itself does not use"))
        }
        (None, Some(9)) => {
            Some("was killed (signal 9); the machine may have run out of memory".into())
        }
        (None, signal) => Some(format!("was ended by signal {}", signal.unwrap_or_default())),
    }
}

/// dbt's own words about why it refused, without colours, times and the lines before the error.
#[must_use]
pub fn condense(output: &[u8]) -> String {
    const LINES: usize = 30;
    let text = without_colours(&String::from_utf8_lossy(output));
    let lines: Vec<&str> = text
        .lines()
        .map(|line| {
            let is_time = line.len() > 8
                && line.bytes().take(8).enumerate().all(|(at, byte)| match at {
                    2 | 5 => byte == b':',
                    _ => byte.is_ascii_digit(),
                });
            if is_time { line[8..].trim() } else { line.trim_end() }
        })
        .filter(|line| !line.trim().is_empty())
        .collect();
    let begins = |line: &&str| line.contains("Error") || line.contains("error:");
    let first = lines.iter().position(begins);
    let first = first.unwrap_or(lines.len().saturating_sub(LINES));
    let mut kept: Vec<String> = lines[first..].iter().take(LINES).map(|line| clip(line)).collect();
    if lines.len() - first > LINES {
        kept.push("…".to_owned());
    }
    kept.join("\n")
}

/// The beginning of a line that may be longer than anyone reads.
#[must_use]
pub fn clip(line: &str) -> String {
    const CHARS: usize = 1000;
    match line.char_indices().nth(CHARS) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line.to_owned(),
    }
}

fn without_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            // `ESC [ … letter`
            let _ = chars.by_ref().skip(1).find(char::is_ascii_alphabetic);
        } else {
            plain.push(c);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;

    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    async fn ran(script: &str, patience: Duration) -> (Ended, String) {
        let (_sender, halt) = watch::channel(None);
        let mut seen = Vec::new();
        let sink = |piece: &[u8]| seen.extend_from_slice(piece);
        let ended = run(shell(script), sink, halt, Instant::now() + patience).await;
        (ended.unwrap(), String::from_utf8(seen).unwrap())
    }

    #[tokio::test]
    async fn both_streams_arrive_in_order_and_whole() {
        let script = "echo a; echo b >&2; echo c; seq 1 30000 | tail -1; exit 1";
        let (ended, seen) = ran(script, Duration::from_secs(20)).await;
        assert_eq!(seen, "a\nb\nc\n30000\n");
        let Ended::Exited(status) = ended else { panic!("{ended:?}") };
        assert!(meaning(status).unwrap().contains("exit code 1"));
    }

    #[tokio::test]
    async fn pieces_are_passed_on_without_waiting_for_a_line_to_end() {
        let (sender, halt) = watch::channel(None);
        let mut seen = 0;
        let sink = |piece: &[u8]| {
            seen += piece.len();
            if seen == 100_002 {
                let _ = sender.send(Some(Halt::Interrupt));
            }
        };
        let script = shell("printf ab; head -c 100000 /dev/zero | tr '\\0' x; sleep 60");
        let far = Instant::now() + Duration::from_secs(30);
        let ended = run(script, sink, halt, far).await.unwrap();
        assert_eq!(ended, Ended::Halted(Halt::Interrupt));
    }

    #[tokio::test]
    async fn a_process_out_of_time_is_ended_while_its_output_is_read() {
        let (ended, seen) = ran("echo a; yes", Duration::from_millis(100)).await;
        assert_eq!(ended, Ended::TimedOut);
        assert!(seen.starts_with("a\ny\n"));
    }

    #[tokio::test]
    async fn a_halt_ends_the_process_and_is_told() {
        let (sender, halt) = watch::channel(None);
        let far = Instant::now() + Duration::from_secs(60);
        let script = shell("echo up; sleep 60");
        let sink = |_: &[u8]| drop(sender.send(Some(Halt::Interrupt)));
        let ended = run(script, sink, halt, far).await.unwrap();
        assert_eq!(ended, Ended::Halted(Halt::Interrupt));
    }

    #[tokio::test]
    async fn death_by_a_signal_is_told_apart() {
        let (ended, _) = ran("kill -9 $$", Duration::from_secs(20)).await;
        let Ended::Exited(status) = ended else { panic!("{ended:?}") };
        assert!(meaning(status).unwrap().contains("signal 9"));
    }

    #[test]
    fn an_error_is_told_in_dbts_words_alone() {
        let output = b"\x1b[0m10:00:01  Running with dbt=1.11.16\n10:00:02  Registered adapter\n\
            \x1b[0m10:00:02  Encountered an error:\n\x1b[31mCompilation Error\x1b[0m\n  in model x\n\n";
        assert_eq!(condense(output), "Encountered an error:\nCompilation Error\n  in model x");
        let long = format!("12:00:00  Error: {}", "ä".repeat(50_000));
        let condensed = condense(long.as_bytes());
        assert!(condensed.starts_with("Error: ää") && condensed.ends_with("ä…"));
        assert!(condensed.len() < 2500, "{}", condensed.len());
    }
}
