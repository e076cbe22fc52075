//! The timeline of a run, as a Mermaid diagram.
//!
//! May import `report::course`.

use std::fmt::Write;

use super::super::course::{Course, Fate, Passed};

/// How many bars a diagram has at most.
const BARS: usize = 40;

/// The diagram as a fenced block; empty where nothing took place.
#[must_use]
pub fn timeline(course: &Course) -> String {
    if course.passed.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "```mermaid\ngantt\n  dateFormat x\n  axisFormat %M:%S\n  section min and s\n",
    );
    for one in course.passed.iter().take(BARS) {
        let Passed { what, began, took, fate } = one;
        let kind = match fate {
            Fate::Done => "done",
            Fate::Failed => "crit",
        };
        let _ = writeln!(
            text,
            "  {} {:.1} s :{kind}, {}, {}ms",
            label(what),
            took.as_secs_f64(),
            began.as_millis(),
            took.as_millis().max(1)
        );
    }
    text.push_str("```\n");
    text
}

/// A label that means nothing to Mermaid.
fn label(what: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { ' ' };
    let text: String = what.chars().take(60).map(plain).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_label_cannot_be_syntax() {
        let what = "drop: r1\n```\n:crit, #59; <b>".to_owned();
        let passed = Passed {
            what,
            began: Duration::ZERO,
            took: Duration::from_millis(1500),
            fate: Fate::Failed,
        };
        let text = timeline(&Course { passed: vec![passed], ..Course::default() });
        assert!(text.contains("\n  drop r1 crit 59 b 1.5 s :crit, 0, 1500ms\n"), "{text}");
    }
}
