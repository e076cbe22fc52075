use std::sync::Arc;

use super::*;

struct Fixture {
    dir: tempfile::TempDir,
    env: BTreeMap<String, String>,
    settings: Settings,
}

const PROFILES: &str = "config: {}\nshop:\n  target: \"{{ env_var('WHICH', 'dev') }}\"\n  outputs:\n    dev: &dev\n      type: duckdb\n      path: \"{{ env_var('DB', 'dev.duckdb') }}\"\n      threads: 4\n      token: \"{{ env_var('NOT_SET') }}\"\n    prod:\n      <<: *dev\n      path: prod.duckdb\n";

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let fixture = Self { dir, env: BTreeMap::new(), settings: Settings::default() };
        fixture.write(
            "project/dbt_project.yml",
            "name: shop\nprofile: \"{{ env_var('PROFILE_NAME', 'shop') }}\"\nrequire-dbt-version: '>=1.8.0, <2.0.0'\n",
        );
        fixture.write("project/profiles.yml", PROFILES);
        fixture.write("project/models/x/a.sql", "select 1");
        fixture
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn set(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    fn locate(&self, cwd: &str) -> Outcome<Located> {
        let known = self.env.clone();
        let env: Env = Arc::new(move |name: &str| known.get(name).cloned());
        let vars = || Err(Failure::usage("`--vars` is nonsense"));
        locate(&self.settings, &env, &self.dir.path().join(cwd), Arc::new(vars))
    }
}

#[test]
fn the_project_is_found_from_a_folder_below_it() {
    let found = Fixture::new().locate("project/models/x").unwrap();
    assert!(found.project_dir.ends_with("project"));
    assert_eq!((found.profile.as_str(), found.target.as_str()), ("shop", "dev"));
    assert_eq!(found.text("path").unwrap().unwrap(), "dev.duckdb");
    assert_eq!(found.text("threads").unwrap().unwrap(), "4");
    assert_eq!(found.text("schema").unwrap(), None);
    let project = found.project().unwrap();
    assert_eq!(project.name, "shop");
    assert_eq!(project.require_dbt_version, [">=1.8.0", "<2.0.0"]);
    assert!(project.target_path.ends_with("project/target"));
    assert!(project.packages_path.ends_with("project/dbt_packages"));
}

#[test]
fn options_win_over_the_environment_and_that_over_files() {
    let mut fixture = Fixture::new()
        .set("DBT_TARGET", "prod")
        .set("DBT_PROJECT_DIR", "project")
        .set("DBT_ENGINE_TARGET_PATH", "out");
    let found = fixture.locate("").unwrap();
    assert_eq!(found.target, "prod");
    assert_eq!(found.text("path").unwrap().unwrap(), "prod.duckdb");
    assert_eq!(found.text("type").unwrap().unwrap(), "duckdb");
    assert!(found.project().unwrap().target_path.ends_with("project/out"));
    fixture.settings.target = Some("dev".to_owned());
    assert_eq!(fixture.locate("").unwrap().target, "dev");
}

#[test]
fn a_project_file_that_cannot_be_read_hinders_only_who_needs_it() {
    let mut fixture = Fixture::new();
    fixture.write("project/dbt_project.yml", "name: [shop\nprofile: shop\n");
    let failure = fixture.locate("project").unwrap_err();
    assert_eq!(failure.kind, crate::failure::Kind::Usage);
    assert!(failure.message.contains("dbt_project.yml"), "{failure}");
    assert!(failure.next.unwrap().contains("--profile"));
    fixture.settings.profile = Some("shop".to_owned());
    let found = fixture.locate("project").unwrap();
    assert_eq!(found.text("path").unwrap().unwrap(), "dev.duckdb");
    let failure = found.project().unwrap_err();
    assert_eq!(failure.kind, crate::failure::Kind::Usage);
    fixture.settings.profile = None;
    let fixture = fixture.set("DBT_PROFILE", "shop");
    assert_eq!(fixture.locate("project").unwrap().profile, "shop");
}

#[test]
fn a_wrong_key_hinders_only_who_reads_that_key() {
    let fixture = Fixture::new();
    let text = "name: {}\nprofile: shop\nmodels: {a: 1, a: 2}\nrequire-dbt-version: {}\n\
        target-path: \"{{ env_var('NOT_SET') }}\"\n";
    fixture.write("project/dbt_project.yml", text);
    let found = fixture.locate("project").unwrap();
    assert_eq!(found.profile, "shop");
    let failure = found.project().unwrap_err();
    assert!(failure.message.contains("key `name` of"), "{failure}");
    let text = text.replace("name: {}", "name: shop");
    fixture.write("project/dbt_project.yml", &text);
    let failure = fixture.locate("project").unwrap().project().unwrap_err();
    assert!(failure.message.contains("require-dbt-version"), "{failure}");
    fixture.write("project/dbt_project.yml", &text.replace("version: {}", "version: ['>1', 2]"));
    let failure = fixture.locate("project").unwrap().project().unwrap_err();
    assert!(failure.message.contains("NOT_SET"), "{failure}");
    let fixture = fixture.set("DBT_TARGET_PATH", "/out");
    let project = fixture.locate("project").unwrap().project().unwrap();
    assert_eq!(project.require_dbt_version, [">1", "2"]);
    assert_eq!(project.target_path, std::path::Path::new("/out"));
    fixture.write("project/dbt_project.yml", "profile: [shop]\n");
    let failure = fixture.locate("project").unwrap_err();
    assert!(failure.message.contains("key `profile`"), "{failure}");
}

#[test]
fn the_commands_variables_are_read_only_for_a_template_that_asks() {
    let fixture = Fixture::new();
    let found = fixture.locate("project").unwrap();
    assert_eq!(found.text("path").unwrap().unwrap(), "dev.duckdb");
    let text = PROFILES.replace("path: prod.duckdb", "path: \"{{ var('db', 'x') }}\"");
    fixture.write("project/profiles.yml", &text);
    let fixture = fixture.set("DBT_TARGET", "prod");
    let failure = fixture.locate("project").unwrap().text("path").unwrap_err();
    assert_eq!(failure.kind, crate::failure::Kind::Usage);
    assert!(failure.message.contains("`--vars` is nonsense"), "{failure}");
}

#[test]
fn profiles_are_looked_for_as_dbt_does() {
    let fixture = Fixture::new().set("DBT_PROJECT_DIR", "project");
    fixture.write("elsewhere/profiles.yml", PROFILES);
    fixture.write("profiles.yml", PROFILES);
    let dir = fixture.dir.path().to_path_buf();
    let found = |fixture: &Fixture| fixture.locate("").unwrap().profiles_file;
    assert_eq!(found(&fixture), dir.join("profiles.yml"));
    std::fs::remove_file(dir.join("profiles.yml")).unwrap();
    assert_eq!(found(&fixture), dir.join("project/profiles.yml"));
    let fixture = fixture.set("DBT_PROFILES_DIR", "elsewhere");
    assert_eq!(found(&fixture), dir.join("elsewhere/profiles.yml"));
}

#[test]
fn home_is_the_last_resort() {
    let fixture = Fixture::new();
    std::fs::remove_file(fixture.dir.path().join("project/profiles.yml")).unwrap();
    let home = fixture.dir.path().join("home").display().to_string();
    fixture.write("home/.dbt/profiles.yml", PROFILES);
    let fixture = fixture.set("HOME", &home);
    assert!(fixture.locate("project").unwrap().profiles_file.starts_with(&home));
}

#[test]
fn a_template_that_fails_hinders_only_who_reads_it() {
    let found = Fixture::new().locate("project").unwrap();
    let failure = found.text("token").unwrap_err();
    assert!(failure.message.contains("NOT_SET"), "{failure}");
    assert!(failure.message.contains("key `token`"), "{failure}");
}

#[test]
fn every_refusal_names_the_value_its_origin_and_what_is_allowed() {
    let refused = |fixture: &Fixture, cwd: &str| {
        let failure = fixture.locate(cwd).unwrap_err();
        assert_eq!(failure.kind, crate::failure::Kind::Usage);
        failure.message
    };
    let message = refused(&Fixture::new().set("DBT_TARGET", "pord"), "project");
    assert!(message.contains("`pord`") && message.contains("DBT_TARGET"), "{message}");
    assert!(message.contains("`dev`, `prod`"), "{message}");
    let message = refused(&Fixture::new().set("PROFILE_NAME", "shopp"), "project");
    assert!(message.contains("`shopp`") && message.contains("it has: `shop`"), "{message}");
    let message = refused(&Fixture::new().set("DBT_PROJECT_DIR", "nowhere"), "");
    assert!(message.contains("nowhere") && message.contains("DBT_PROJECT_DIR"), "{message}");
    let message = refused(&Fixture::new(), "");
    assert!(message.contains("no dbt_project.yml"), "{message}");
}
