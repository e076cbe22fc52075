//! The Jinja that dbt renders in `profiles.yml` and in a few keys of `dbt_project.yml`.
//!
//! Only the scalars that Switchback itself must know are rendered, one at a time, so that a
//! template that fails elsewhere in the file never stands in the way. Everything is returned as
//! text: `as_number` and `as_bool` check as dbt does, but nobody here needs the native type.
//!
//! May import `failure`.

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::value::{Kwargs, Value};
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};
use minijinja_contrib::pycompat::unknown_method_callback;

use crate::failure::{Failure, Outcome};

/// Looks up a variable of the environment. Passed in, so that nothing here reads global state.
pub type Env = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// The `--vars` of the dbt commands, read only once a template asks for one.
pub type Vars = Arc<dyn Fn() -> Outcome<BTreeMap<String, String>> + Send + Sync>;

/// Renders scalars as dbt does.
#[derive(Clone)]
pub struct Renderer {
    env: Env,
    vars: Vars,
}

impl std::fmt::Debug for Renderer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Renderer").finish_non_exhaustive()
    }
}

impl Renderer {
    /// A renderer that sees these environment variables and these `--vars`.
    #[must_use]
    pub fn new(env: Env, vars: Vars) -> Self {
        Self { env, vars }
    }

    /// Renders `template`, which was found at `place` (such as ``key `path` of target `prod` in
    /// /x/profiles.yml``).
    pub fn text(&self, template: &str, place: &str) -> Outcome<String> {
        if !is_template(template) {
            return Ok(template.to_owned());
        }
        self.environment()
            .render_str(template, ())
            .map_err(|error| explain(&error, template, place))
    }

    fn environment(&self) -> Environment<'static> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_unknown_method_callback(unknown_method_callback);
        let env = Arc::clone(&self.env);
        environment.add_function(
            "env_var",
            move |name: &str, default: Option<Value>, named: Kwargs| {
                let default = or_named(default, &named)?;
                let value = env(name).map(Value::from);
                value.or(default).ok_or_else(|| {
                missing(format!(
                    "the environment variable {name} is not set and the template gives no default"
                ))
            })
            },
        );
        let vars = Arc::clone(&self.vars);
        environment.add_function(
            "var",
            move |name: &str, default: Option<Value>, named: Kwargs| {
                let default = or_named(default, &named)?;
                let vars = vars()
                    .map_err(|failure| Error::new(ErrorKind::InvalidOperation, failure.message))?;
                let value = vars.get(name).cloned().map(Value::from);
                value.or(default).ok_or_else(|| {
                missing(format!(
                    "the variable {name} is not in `--vars` of the dbt commands and the template \
                     gives no default"
                ))
            })
            },
        );
        environment.add_filter("as_text", |value: Value| value);
        environment.add_filter("as_native", |value: Value| value);
        environment.add_filter("as_bool", as_bool);
        environment.add_filter("as_number", as_number);
        environment
    }
}

/// The very test dbt makes: a text without one of these pairs is taken as it is.
#[must_use]
pub fn is_template(text: &str) -> bool {
    ["{{", "{%", "{#", "}}", "%}", "#}"].iter().any(|mark| text.contains(mark))
}

fn or_named(positional: Option<Value>, named: &Kwargs) -> Result<Option<Value>, Error> {
    let default = match positional {
        Some(value) => Some(value),
        None => named.get("default")?,
    };
    named.assert_all_used()?;
    // Python's None is no default.
    Ok(default.filter(|value: &Value| !value.is_none()))
}

fn missing(detail: String) -> Error {
    Error::new(ErrorKind::UndefinedError, detail)
}

fn as_bool(value: &Value) -> Result<Value, Error> {
    let text = value.to_string();
    // Python's words, which is all that dbt accepts of a text; a native boolean prints in lower
    // case here.
    let is_native = value.kind() == minijinja::value::ValueKind::Bool;
    if is_native || matches!(text.as_str(), "True" | "False") {
        return Ok(Value::from(text.to_lowercase()));
    }
    Err(Error::new(
        ErrorKind::InvalidOperation,
        format!("`as_bool` takes True or False, not `{text}`"),
    ))
}

fn as_number(value: &Value) -> Result<Value, Error> {
    let text = value.to_string();
    if text.trim().parse::<f64>().is_ok() {
        return Ok(Value::from(text.trim()));
    }
    Err(Error::new(
        ErrorKind::InvalidOperation,
        format!("`as_number` takes a number, not `{text}`"),
    ))
}

fn explain(error: &Error, template: &str, place: &str) -> Failure {
    let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    let failure = Failure::usage(format!(
        "{place} cannot be rendered: {detail}; it reads `{}`",
        template.trim()
    ));
    if error.kind() == ErrorKind::UndefinedError {
        return failure.next("set the variable for this run, or give the template a default");
    }
    failure.next("correct the template; `dbt debug` renders the same file")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renderer() -> Renderer {
        let env = |name: &str| match name {
            "HOME_DIR" => Some("/srv/Straße".to_owned()),
            "DBT_ENV_SECRET_PW" => Some("s3cret".to_owned()),
            "FLAG" => Some("True".to_owned()),
            "PORT" => Some("54x".to_owned()),
            _ => None,
        };
        let vars = BTreeMap::from([("region".to_owned(), "eu".to_owned())]);
        Renderer::new(Arc::new(env), Arc::new(move || Ok(vars.clone())))
    }

    fn render(template: &str) -> String {
        renderer().text(template, "key `path`").unwrap()
    }

    #[test]
    fn the_environment_is_read_with_and_without_a_default() {
        assert_eq!(render("{{ env_var('HOME_DIR') }}/x.duckdb"), "/srv/Straße/x.duckdb");
        assert_eq!(render("{{ env_var('NOPE', 'd') }}"), "d");
        assert_eq!(render("{{ env_var('NOPE', default='d') }}"), "d");
        assert_eq!(render("{{ env_var('DBT_ENV_SECRET_PW') }}"), "s3cret");
        assert_eq!(render("{{ var('region') }}-{{ var('zone', 1) }}"), "eu-1");
    }

    #[test]
    fn filters_and_methods_work_as_in_dbt() {
        assert_eq!(render("{{ env_var('FLAG') | as_bool }}"), "true");
        assert_eq!(render("{{ '4' | as_number }}"), "4");
        assert_eq!(render("{{ env_var('NOPE', '7') | as_native }}"), "7");
        assert_eq!(render("{{ env_var('FLAG') | as_text }}"), "True");
        assert_eq!(render("{{ env_var('HOME_DIR').lower() ~ '_x' }}"), "/srv/straße_x");
        assert_eq!(render("{% if env_var('FLAG') == 'True' %}a{% else %}b{% endif %}"), "a");
    }

    #[test]
    fn a_plain_text_is_left_alone() {
        assert_eq!(render("a { b } 'c' \\ % d\n"), "a { b } 'c' \\ % d\n");
    }

    #[test]
    fn a_missing_variable_names_itself_and_the_key() {
        let failure = renderer().text("{{ env_var('NOPE') }}", "key `path`").unwrap_err();
        assert_eq!(failure.kind, crate::failure::Kind::Usage);
        assert!(failure.message.contains("NOPE"), "{failure}");
        assert!(failure.message.contains("key `path`"), "{failure}");
    }

    #[test]
    fn a_wrong_number_is_refused() {
        let failure =
            renderer().text("{{ env_var('PORT') | as_number }}", "key `port`").unwrap_err();
        assert!(failure.message.contains("54x"), "{failure}");
    }
}
