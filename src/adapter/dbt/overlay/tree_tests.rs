//! The copy: what is real, what is a link, and what dbt's search finds in it.

use super::super::projects::files;
use super::*;

fn project(paths: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for path in paths {
        let path = dir.path().join("p").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "old").unwrap();
    }
    dir
}

fn is_link(path: &Path) -> bool {
    path.symlink_metadata().unwrap().is_symlink()
}

#[test]
fn folders_are_real_only_where_dbt_or_a_change_needs_it() {
    let dir = project(&[
        "macros/a/x.sql",
        "macros/b/y.sql",
        "models/deep/m.sql",
        "seeds/s.csv",
        ".git/HEAD",
        "dbt_packages/one/macros/m.sql",
        "dbt_packages/two/macros/m.sql",
        "p.yml",
    ]);
    let (from, to) = (dir.path().join("p"), dir.path().join("copy"));
    let new = |path: &str| (from.join(path), "new".to_owned());
    let copy = Copy {
        changed: [new("macros/a/x.sql"), new("dbt_packages/two/macros/m.sql"), new("none/z.sql")]
            .into(),
        searched: [
            "macros",
            "models",
            "none",
            "dbt_packages/one/macros",
            "dbt_packages/two/macros",
        ]
        .map(|path| from.join(path))
        .into(),
        left_out: [from.join(".git")].into(),
    };
    copy.make(&from, &to).unwrap();
    let text = |path: &str| fs::read_to_string(to.join(path)).unwrap();
    assert_eq!(text("macros/a/x.sql"), "new");
    assert_eq!(text("macros/b/y.sql"), "old");
    assert_eq!(text("dbt_packages/two/macros/m.sql"), "new");
    assert_eq!(text("dbt_packages/one/macros/m.sql"), "old");
    assert_eq!(text("none/z.sql"), "new");
    assert_eq!(text("models/deep/m.sql"), "old");
    for link in ["models", "seeds", "p.yml", "dbt_packages/one", "macros/b/y.sql"] {
        assert!(is_link(&to.join(link)), "{link}");
    }
    for real in ["macros", "macros/a", "macros/b", "dbt_packages", "dbt_packages/two/macros"] {
        assert!(!is_link(&to.join(real)), "{real}");
    }
    assert!(!to.join(".git").exists());
    assert_eq!(fs::read_to_string(from.join("macros/a/x.sql")).unwrap(), "old");
    assert_eq!(files(&to.join("macros"), &[".sql"]).len(), 2);
}

#[test]
fn a_project_that_is_searched_whole_is_copied_whole_but_for_linked_folders() {
    let dir = project(&["a/b/m.sql", "venv/pyvenv.cfg", "venv/x.sql"]);
    let elsewhere = project(&["c.sql"]);
    let (from, to) = (dir.path().join("p"), dir.path().join("copy"));
    symlink(elsewhere.path().join("p"), from.join("a/linked")).unwrap();
    symlink("b/m.sql", from.join("a/n.sql")).unwrap();
    symlink("nowhere", from.join("a/dangling.sql")).unwrap();
    let copy = Copy { searched: [from.clone()].into(), ..Copy::default() };
    copy.make(&from, &to).unwrap();
    let found = files(&to, &[".sql"]);
    let found: Vec<_> = found.iter().map(|path| path.strip_prefix(&to).unwrap()).collect();
    // dbt would not follow the linked folder in the project either.
    assert_eq!(found, [Path::new("a/b/m.sql"), Path::new("a/n.sql")]);
    assert!(is_link(&to.join("a/linked")) && is_link(&to.join("venv")));
}

#[test]
fn a_linked_folder_that_leads_to_a_change_becomes_real() {
    let dir = project(&["x"]);
    let elsewhere = project(&["macros/m.sql", "models/a.sql"]);
    let (from, to) = (dir.path().join("p"), dir.path().join("copy"));
    fs::create_dir(from.join("dbt_packages")).unwrap();
    symlink(elsewhere.path().join("p"), from.join("dbt_packages/local")).unwrap();
    let changed = from.join("dbt_packages/local/macros/m.sql");
    let copy = Copy { changed: [(changed, "new".to_owned())].into(), ..Copy::default() };
    copy.make(&from, &to).unwrap();
    let inside = to.join("dbt_packages/local");
    assert!(!is_link(&inside) && is_link(&inside.join("models")));
    assert_eq!(fs::read_to_string(inside.join("macros/m.sql")).unwrap(), "new");
    assert_eq!(fs::read_to_string(elsewhere.path().join("p/macros/m.sql")).unwrap(), "old");
}
