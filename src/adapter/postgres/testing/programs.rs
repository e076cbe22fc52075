//! The programs of the server that tests start, and what its version can say; for unit tests and
//! stories.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of the server's programs, if one is installed.
pub fn programs() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("SWITCHBACK_TEST_POSTGRES") {
        let named = PathBuf::from(named);
        assert!(named.join("initdb").exists(), "no initdb in {}", named.display());
        return Some(named);
    }
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let major = path.file_name()?.to_str()?.parse().ok()?;
            let bin = path.join("bin");
            bin.join("initdb").exists().then_some((major, bin))
        })
        .collect();
    found.sort();
    found.pop().map(|(_, bin)| bin)
}

/// The major version of the programs in a folder.
pub fn major(bin: &Path) -> u32 {
    let said = Command::new(bin.join("postgres")).arg("--version").output().expect("postgres");
    let said = String::from_utf8_lossy(&said.stdout);
    let number = said.split_whitespace().find_map(|word| word.split('.').next()?.parse().ok());
    number.expect("a version")
}

/// SQL for a major version: without the lines that say what it has not.
pub fn spell(sql: &str, major: u32) -> String {
    if major >= 14 {
        return sql.to_owned();
    }
    let too_new = |line: &&str| {
        line.contains(" SET COMPRESSION ") || major < 13 && line.contains("ALTER STATISTICS")
    };
    let lines: Vec<&str> = sql.lines().filter(|line| !too_new(line)).collect();
    let sql = lines.join("\n");
    let mut text = String::new();
    let mut rest = sql.as_str();
    while let Some((before, after)) = rest.split_once("BEGIN ATOMIC ") {
        let (body, after) = after.split_once("; END").expect("the end of a body");
        text = format!("{text}{before}AS $body$ {body} $body$");
        rest = after;
    }
    text + rest
}

/// A command that runs as `postgres` where we are root, because `initdb` refuses root.
pub fn unprivileged(program: &Path) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program);
    command
}
