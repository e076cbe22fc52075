//! From the profile's `path` to the live file.
//!
//! Invariants: what cannot be exchanged as a local file (`MotherDuck`, memory, remote storage) is
//! refused with its value and what is allowed; links are resolved, so that the file is exchanged
//! and never the link; the database name is the one DuckDB and dbt-duckdb derive. Parameters
//! of an address may hold secrets and are never printed. Reads the file system, changes nothing.
//! May import `failure`.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Outcome};

const ALLOWED: &str = "Switchback needs the path of a local DuckDB file, such as \
                       `path: /data/shop.duckdb`";

/// How many links are followed before a chain counts as endless, as in the kernel.
const MAX_LINKS: usize = 40;

/// The live file of an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveFile {
    /// The file itself: absolute, no link in it.
    pub path: PathBuf,
    /// The name DuckDB gives the database: the first non-empty part of the file name.
    pub database: String,
    /// The links that lead to it, outermost first. DuckDB puts the write-ahead log of a file that
    /// is opened by a link beside the *link*, so these are looked at too.
    pub links: Vec<PathBuf>,
}

impl LiveFile {
    /// The file's name without its directory.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default() // `resolve` refuses names that are not text
    }

    /// Every path under which a client may have opened it.
    pub fn names(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(self.path.as_path()).chain(self.links.iter().map(PathBuf::as_path))
    }
}

/// Finds the live file that the rendered `path` of a profile means to a dbt that runs in `cwd`
/// with that `HOME`. The file need not exist; its directory must, as for DuckDB.
pub fn resolve(text: &str, cwd: &Path, home: Option<&Path>) -> Outcome<LiveFile> {
    refuse_remote(text)?;
    let given = cwd.join(expand_home(text, home)?);
    let (path, links) = follow(&given)?;
    let directory = path
        .parent()
        .ok_or_else(|| Failure::usage(format!("`path: {text}` names no file. {ALLOWED}")))?;
    let directory = directory.canonicalize().map_err(|error| {
        Failure::usage(format!(
            "the directory of `path: {text}` cannot be used: {}: {error}",
            directory.display()
        ))
        .next(format!(
            "create it (`mkdir -p '{}'`) or correct `path` in profiles.yml",
            directory.display()
        ))
    })?;
    let name = path.file_name().and_then(|name| name.to_str());
    let Some(name) = name.filter(|_| directory.to_str().is_some()) else {
        return Err(Failure::usage(format!(
            "`path: {text}` leads to {}, which is not valid UTF-8 or names no file. {ALLOWED}",
            path.display()
        )));
    };
    let live = LiveFile { database: database_name(name), path: directory.join(name), links };
    refuse_special(text, &live.path)?;
    refuse_other_name(text, &given, &live)?;
    Ok(live)
}

fn refuse_remote(text: &str) -> Outcome<()> {
    let wrong = |what: &str| {
        let shown = shown(text);
        Err(Failure::usage(format!("the profile's `path: {shown}` is {what}; {ALLOWED}")))
    };
    if text.is_empty() {
        return Err(Failure::usage(format!(
            "the profile has no `path`, so dbt would work in memory; {ALLOWED}"
        )));
    }
    if text == ":memory:" || text.starts_with(":memory:") {
        return wrong("a database in memory, of which nothing is left when dbt ends");
    }
    if let Some((scheme, _)) = text.split_once(':')
        && is_scheme(scheme)
    {
        return match scheme.to_ascii_lowercase().as_str() {
            "md" | "motherduck" => wrong("a MotherDuck database, which Switchback cannot swap"),
            _ => wrong(&format!("a `{scheme}:` address and not a local file")),
        };
    }
    if let Some(sign) = text.chars().find(|c| matches!(c, '?' | '#' | '\0')) {
        return wrong(&format!(
            "no plain path: dbt-duckdb reads what follows `{}` as parameters",
            sign.escape_default()
        ));
    }
    let name = text.rsplit('/').next().unwrap_or_default();
    if name.contains(';') {
        return wrong("no plain path: dbt-duckdb reads what follows `;` as parameters");
    }
    if name.trim_start_matches('.').is_empty() {
        return wrong("a directory");
    }
    Ok(())
}

/// What may be printed of a rendered path: nothing of its parameters, and of an address that may
/// hold credentials elsewhere only the scheme.
fn shown(text: &str) -> String {
    let (before, cut) = match text.find(['?', '#', ';', '\0']) {
        Some(at) => (&text[..at], "…"),
        None => (text, ""),
    };
    match before.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) && rest.contains(['=', '@', ' ', '&']) => {
            format!("{scheme}:…")
        }
        _ => format!("{before}{cut}"),
    }
}

/// As RFC 3986 and DuckDB's extension prefixes have it, so that no address slips through.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '_'))
}

fn expand_home(text: &str, home: Option<&Path>) -> Outcome<PathBuf> {
    let Some(rest) = text.strip_prefix('~') else {
        return Ok(PathBuf::from(text));
    };
    let Some(rest) = rest.strip_prefix('/') else {
        return Err(Failure::usage(format!(
            "the profile's `path: {text}` names another user's home, which DuckDB does not \
             resolve; write it as an absolute path, or begin it with `~/`"
        )));
    };
    let home = home.ok_or_else(|| {
        Failure::usage(format!(
            "the profile's `path: {text}` begins with `~`, but HOME is not set; write an absolute \
             path or set HOME"
        ))
    })?;
    Ok(home.join(rest.trim_start_matches('/')))
}

/// Follows the links that the last part of `given` may be; links among its directories are left
/// to the caller, since they do not matter to an exchange.
fn follow(given: &Path) -> Outcome<(PathBuf, Vec<PathBuf>)> {
    let mut path = given.to_path_buf();
    let mut links = Vec::new();
    while fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink()) {
        let target = fs::read_link(&path).map_err(|error| {
            Failure::usage(format!("the link {} cannot be read: {error}", path.display()))
        })?;
        let next = path.parent().unwrap_or(Path::new("/")).join(target);
        links.push(path);
        path = next;
        if links.len() > MAX_LINKS {
            return Err(Failure::usage(format!(
                "{} leads through more than {MAX_LINKS} links",
                given.display()
            )));
        }
    }
    if !links.is_empty() && !path.exists() {
        return Err(Failure::usage(format!(
            "{} is a link to {}, which does not exist",
            given.display(),
            path.display()
        ))
        .next("mount or create what it points to, or correct the link"));
    }
    Ok((path, links))
}

fn refuse_special(text: &str, path: &Path) -> Outcome<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found.file_type(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            return Err(Failure::usage(format!(
                "`path: {text}` ({}) cannot be looked at: {error}",
                path.display()
            )));
        }
    };
    let what = if found.is_dir() {
        "a directory"
    } else if found.is_block_device() || found.is_char_device() {
        "a device"
    } else if found.is_fifo() {
        "a pipe"
    } else if found.is_socket() {
        "a socket"
    } else {
        return Ok(());
    };
    Err(Failure::usage(format!("the profile's `path: {text}` is {what}; {ALLOWED}")))
}

/// A view's text names the database (DuckDB 1.x), and the build has the *file's* name: under a
/// link of another name, views built there would not answer.
fn refuse_other_name(text: &str, given: &Path, live: &LiveFile) -> Outcome<()> {
    let as_given = given.file_name().map(|name| name.to_string_lossy());
    let as_given = database_name(&as_given.unwrap_or_default());
    if as_given == live.database {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "the profile's `path: {text}` is a link named `{as_given}` to a file named `{}` ({}); \
         DuckDB names the database after the one or the other, and views made under one name do \
         not answer under the other",
        live.database,
        live.path.display()
    ))
    .next(format!(
        "set `path: {}` in profiles.yml, or give the link and the file the same name",
        live.path.display()
    )))
}

/// The first non-empty part of the file name between dots: `my.db.duckdb` is `my`, `.hidden.db`
/// is `hidden` (seen on DuckDB 1.1 and 2.0, and so in dbt-duckdb).
fn database_name(file_name: &str) -> String {
    let visible = file_name.trim_start_matches('.');
    visible.split('.').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use proptest::prelude::*;

    use super::*;
    use crate::failure::Kind;

    fn refused(text: &str) -> Failure {
        let failure = resolve(text, Path::new("/tmp"), None).unwrap_err();
        assert_eq!(failure.kind, Kind::Usage, "{text}");
        failure
    }

    #[test]
    fn what_is_no_local_file_is_refused_by_name() {
        for text in [
            "",
            ":memory:",
            ":memory:shop",
            "md:shop",
            "MD:shop",
            "motherduck:shop",
            "s3://bucket/shop.duckdb",
            "https://example.com/shop.duckdb",
            "gs://b/s.duckdb",
            "az://b/s.duckdb",
            "ducklake:meta.ducklake",
            "postgres:dbname=x",
            "file:///tmp/x.duckdb",
            "shop.duckdb?user=1",
            "shop#1.duckdb",
            "shop;1.duckdb",
            "~ada/shop.duckdb",
            "~/shop.duckdb", // HOME is not set here
            "/tmp/",
            "..",
        ] {
            let failure = refused(text);
            assert!(failure.message.contains(&shown(text)), "{text}: {failure}");
        }
    }

    #[test]
    fn parameters_and_credentials_are_never_printed() {
        for (text, says) in [
            ("md:shop?motherduck_token=SECRET", "`path: md:shop…`"),
            ("MD:?motherduck_token=SECRET", "`path: MD:…`"),
            ("md:shop#a?SECRET", "`path: md:shop…`"),
            ("md:shop;SECRET", "`path: md:shop…`"),
            ("s3://bucket/shop.duckdb?s3_secret_access_key=SECRET", "s3://bucket/shop.duckdb…"),
            ("https://ada:SECRET@example.com/shop.duckdb", "`path: https:…`"),
            ("postgres:dbname=x password=SECRET", "`path: postgres:…`"),
            ("shop.duckdb?key=SECRET", "`path: shop.duckdb…`"),
            (":memory:?token=SECRET", "`path: :memory:…`"),
            ("~ada/shop.duckdb?token=SECRET", "shop.duckdb…"),
        ] {
            let failure = refused(text);
            assert!(failure.message.contains(says), "{text}: {failure}");
            assert!(!format!("{failure} {failure:?}").contains("SECRET"), "{text}: {failure}");
        }
    }

    #[test]
    fn relative_home_and_odd_names_resolve() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for (text, expected) in [
            ("shop.duckdb", "shop.duckdb"),
            ("./a b/it's.duckdb", "a b/it's.duckdb"),
            ("~/ünï \"q\".duckdb", "ünï \"q\".duckdb"),
            ("a b/../shop", "shop"),
        ] {
            fs::create_dir_all(root.join("a b")).unwrap();
            let live = resolve(text, &root, Some(&root)).unwrap();
            assert_eq!(live.path, root.join(expected));
            assert!(live.links.is_empty());
        }
    }

    #[test]
    fn the_database_is_named_after_the_first_part_of_the_file_name() {
        for (file, database) in [
            ("shop.duckdb", "shop"),
            ("a.b.duckdb", "a"),
            (".hid.duckdb", "hid"),
            ("shop", "shop"),
            ("A.DuckDB", "A"),
        ] {
            assert_eq!(database_name(file), database);
        }
    }

    #[test]
    fn links_are_resolved_and_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir(root.join("real")).unwrap();
        fs::write(root.join("real/shop.duckdb"), "").unwrap();
        symlink("real", root.join("linked")).unwrap();
        symlink("linked/shop.duckdb", root.join("shop.db")).unwrap();
        let live = resolve("shop.db", &root, None).unwrap();
        assert_eq!(live.path, root.join("real/shop.duckdb"));
        assert_eq!(live.links, [root.join("shop.db")]);
        // Through a linked directory there is no link to the file itself.
        let live = resolve("linked/shop.duckdb", &root, None).unwrap();
        assert_eq!(live.path, root.join("real/shop.duckdb"));
        assert!(live.links.is_empty());
    }

    #[test]
    fn dangling_renaming_and_endless_links_directories_and_missing_parents_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::write(root.join("shop.duckdb"), "").unwrap();
        symlink("nothing", root.join("dangling.duckdb")).unwrap();
        symlink("shop.duckdb", root.join("prod.duckdb")).unwrap();
        symlink("loop.duckdb", root.join("loop.duckdb")).unwrap();
        fs::create_dir(root.join("dir.duckdb")).unwrap();
        for (text, says) in [
            ("dangling.duckdb", "does not exist"),
            ("prod.duckdb", "named `prod`"),
            ("loop.duckdb", "links"),
            ("dir.duckdb", "a directory"),
            ("missing/shop.duckdb", "directory"),
        ] {
            let failure = resolve(text, root, None).unwrap_err();
            assert_eq!(failure.kind, Kind::Usage);
            assert!(failure.message.contains(says), "{text}: {failure}");
        }
    }

    proptest! {
        #[test]
        fn no_address_with_a_scheme_ever_resolves(
            scheme in "[a-zA-Z][a-zA-Z0-9+.-]{0,12}", rest in "\\PC{0,20}",
        ) {
            let text = format!("{scheme}:{rest}");
            prop_assert!(resolve(&text, Path::new("/tmp"), None).is_err());
        }

        #[test]
        fn resolving_never_panics_and_never_creates(text in "\\PC{0,40}") {
            let dir = tempfile::tempdir().unwrap();
            let _ = resolve(&text, dir.path(), Some(dir.path()));
            prop_assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        }
    }
}
