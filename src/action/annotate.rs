//! Annotations: what GitHub shows beside the lines of a file, and on top of the run.
//!
//! May import `domain`, `failure` and `report`.

use std::path::Path;

use super::console::Command;
use super::context::Context;
use crate::failure::Failure;
use crate::report::course::Course;

/// How many errors, and how many warnings, GitHub shows of one step.
const SHOWN: usize = 10;
/// Characters of a message.
const MESSAGE: usize = 2000;

/// The errors of a run that failed: the failure itself, then the nodes that dbt failed on, each at
/// its file. `project` is dbt's folder.
#[must_use]
pub fn errors(
    failure: &Failure,
    course: &Course,
    context: &Context,
    project: Option<&Path>,
) -> Vec<Command> {
    let mut message = failure.explanation();
    for line in [&failure.production, &failure.next].into_iter().flatten() {
        message.push('\n');
        message.push_str(line);
    }
    let mut commands = vec![Command::new("error", cut(&message)).with("title", "Switchback")];
    let nodes = course.dbt.as_ref().map_or(&[][..], |dbt| &dbt.failures);
    for node in nodes.iter().take(SHOWN - 1) {
        let text = node.message.clone().unwrap_or_else(|| node.status.clone());
        let title = format!("dbt: {} ({})", node.unique_id, node.status);
        let mut command = Command::new("error", cut(&text));
        if let (Some(file), Some(project)) = (&node.file, project) {
            command = command.with("file", context.in_repository(&project.join(file)));
        }
        commands.push(command.with("title", cut(&title)));
    }
    commands
}

/// The warnings.
#[must_use]
pub fn warnings(texts: &[String]) -> Vec<Command> {
    let one = |text: &String| Command::new("warning", cut(text)).with("title", "Switchback");
    texts.iter().take(SHOWN).map(one).collect()
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MESSAGE) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::project::{DbtSummary, NodeResult};
    use crate::failure::Kind;

    #[test]
    fn a_failing_node_is_shown_at_its_file_in_the_repository() {
        let node = NodeResult {
            unique_id: "model.shop.orders".into(),
            status: "error".into(),
            message: Some("no such column\n::error::x".into()),
            file: Some("models/orders.sql".into()),
            seconds: 0.1,
        };
        let dbt = DbtSummary { failures: vec![node; 20], ..DbtSummary::default() };
        let course = Course { dbt: Some(dbt), ..Course::default() };
        let context = Context { workspace: Some("/github/workspace".into()), ..Context::default() };
        let project = Path::new("/github/workspace/analytics");
        let failure = Failure::new(Kind::Stopped, "dbt failed").next("correct it");
        let lines: Vec<String> =
            errors(&failure, &course, &context, Some(project)).iter().map(Command::line).collect();
        assert_eq!(lines.len(), 10);
        assert_eq!(lines[0], "::error title=Switchback::dbt failed%0Acorrect it");
        assert_eq!(
            lines[1],
            "::error file=analytics/models/orders.sql,title=dbt%3A model.shop.orders (error)::no \
             such column%0A::error::x"
        );
    }
}
