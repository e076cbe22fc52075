//! What DuckDB says, in words that tell what to do. Pure text. May import `failure`.

use std::path::Path;

use crate::failure::{Failure, Kind};

/// The refusal of a Python that has no duckdb.
pub(super) fn no_duckdb(python: &Path, message: &str) -> Failure {
    Failure::usage(format!(
        "the Python of the dbt environment, {}, cannot import duckdb: {message}",
        python.display()
    ))
    .next(format!(
        "install it there (`{} -m pip install dbt-duckdb`), or name the environment that has it",
        python.display()
    ))
}

/// Whether DuckDB was refused because another process has the file.
pub(super) fn is_lock(message: &str) -> bool {
    message.contains("Could not set lock") || message.contains("Conflicting lock")
}

/// Whether what DuckDB, or the child that runs it, says of a file may be otherwise the next time:
/// anything else that keeps a file from being read is the file's own.
pub(super) fn is_passing(kind: &str, message: &str) -> bool {
    const KINDS: [&str; 4] =
        ["OutOfMemoryException", "MemoryError", "InterruptException", "PermissionException"];
    const WORDS: [&str; 8] = [
        "Permission denied",
        "Too many open files",
        "Cannot allocate memory",
        "No space left on device",
        "quota exceeded",
        "it did not answer within",
        "signal: 9",
        "signal: 15",
    ];
    is_lock(message) || KINDS.contains(&kind) || WORDS.iter().any(|words| message.contains(words))
}

/// `PID 123` as DuckDB names it.
fn pid(message: &str) -> Option<&str> {
    let rest = &message[message.find("(PID ")? + 5..];
    rest.split_once(')').map(|(pid, _)| pid)
}

/// DuckDB's words about `file` as a failure that says what to do.
pub(super) fn explain(file: &Path, kind: &str, message: &str) -> Failure {
    let file = file.display();
    if is_lock(message) {
        let who = pid(message).map_or_else(String::new, |pid| format!(" (PID {pid})"));
        let look = pid(message).map_or_else(
            || format!("see who has it open with `fuser -v '{file}'`"),
            |pid| format!("see what it is with `ps -fp {pid}`"),
        );
        return Failure::new(
            Kind::Locked,
            format!(
                "{file} is open for writing, or being read while it would have to be written, \
                     in another process{who}"
            ),
        )
        .next(format!("{look}; when it has ended, run the same command again"));
    }
    if message.contains("not a valid DuckDB database file") {
        return Failure::usage(format!("{file} is not a DuckDB file"));
    }
    if message.contains("encrypted") {
        return encrypted(&file.to_string());
    }
    if message.contains("newer version of DuckDB") || message.contains("but we can only read") {
        let first = message.lines().next().unwrap_or(message);
        return Failure::usage(format!(
            "{file} was written by a newer DuckDB than the dbt environment has: {first}"
        ))
        .next("upgrade duckdb in the dbt environment (`pip install --upgrade duckdb`)");
    }
    if message.contains("No space left on device") || message.contains("quota exceeded") {
        return Failure::stopped(format!("the disk is full: {message}"))
            .next("free some space, then run the same command again");
    }
    Failure::new(Kind::Unexpected, format!("DuckDB on {file}: {kind}: {message}"))
}

/// The refusal of an encrypted file.
pub(super) fn encrypted(file: &str) -> Failure {
    Failure::usage(format!(
        "{file} is encrypted; Switchback does not handle keys and cannot read it"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_told_from_damage() {
        for message in [
            "IO Error: Could not set lock on file",
            "IO Error: Cannot open file \"/d/x\": Permission denied",
            "it ended with signal: 9 (SIGKILL)",
            "it did not answer within 60 seconds",
        ] {
            assert!(is_passing("IOException", message), "{message}");
        }
        assert!(is_passing("OutOfMemoryException", "failed to allocate"));
        for message in
            ["Corrupt database file: computed checksum", "it ended with signal: 11 (SIGSEGV)"]
        {
            assert!(!is_passing("IOException", message), "{message}");
        }
    }

    #[test]
    fn what_duckdb_says_becomes_a_failure_that_says_what_to_do() {
        let said = |message: &str| explain(Path::new("/d/shop.duckdb"), "IOException", message);
        let locked = said(
            "IO Error: Could not set lock on file \"/d/shop.duckdb\": Conflicting lock is held in \
             /usr/bin/python3.11 (PID 7890). See also https://duckdb.org/docs/connect/concurrency",
        );
        assert_eq!(locked.kind, Kind::Locked);
        assert!(locked.message.contains("PID 7890"));
        assert!(locked.next.unwrap().contains("ps -fp 7890"));
        for message in [
            "The file \"x\" exists, but it is not a valid DuckDB database file!",
            "Cannot open encrypted database \"x\" without a key",
            "Trying to read a database file with version number 999, but we can only read version \
             64.\nThe database file was created with an newer version of DuckDB.",
        ] {
            assert_eq!(said(message).kind, Kind::Usage, "{message}");
        }
        assert_eq!(said("No space left on device").kind, Kind::Stopped);
        assert_eq!(said("something else").kind, Kind::Unexpected);
    }
}
