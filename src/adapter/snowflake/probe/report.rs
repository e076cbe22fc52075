//! The report as text and as JSON. Pure.
//!
//! The JSON can be shown to anybody: the names of account, user, role, warehouse and of the
//! profile's database are left out of every text in it, unless it was asked for with them.
//!
//! May import its siblings.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use super::fact::{Finding, Verdict};
use super::lab::{Ran, group};

/// What the account says about itself.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// Snowflake's version.
    pub version: String,
    /// The region.
    pub region: String,
    /// Names that are not for others, and the word that takes their place.
    pub withheld: Vec<(String, &'static str)>,
}

/// Names that say nothing about anybody.
const PUBLIC: [&str; 6] =
    ["ACCOUNTADMIN", "SECURITYADMIN", "SYSADMIN", "USERADMIN", "ORGADMIN", "PUBLIC"];

/// Adds a name that is not for others.
pub(super) fn withhold(
    withheld: &mut Vec<(String, &'static str)>,
    name: String,
    word: &'static str,
) {
    if !name.is_empty() && !PUBLIC.contains(&name.to_uppercase().as_str()) {
        withheld.push((name, word));
    }
}

/// What came of a probe.
#[derive(Clone, Debug)]
pub struct Report {
    /// What every name of the probe begins with.
    pub prefix: String,
    /// What the account says about itself.
    pub about: About,
    /// Whether it was ended before its time.
    pub interrupted: bool,
    /// The facts, in the order of the catalogue.
    pub findings: Vec<Finding>,
    /// What could not be dropped: the statements that drop it.
    pub left: Vec<String>,
    /// Scratch databases of other probes.
    pub others: Vec<String>,
    /// Every statement that was run, by experiment.
    pub statements: BTreeMap<String, Vec<Ran>>,
}

impl Report {
    /// How many findings have the verdict.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        self.findings.iter().filter(|finding| finding.verdict == verdict).count()
    }

    /// The table, fact by fact.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = format!("Snowflake {} ({})\n", self.about.version, self.about.region);
        let mut heading = String::new();
        for finding in &self.findings {
            let group = group(finding.fact.experiment, finding.level);
            if group != heading {
                let _ = writeln!(out, "\n{group}");
                heading = group;
            }
            line(&mut out, finding);
        }
        let (fine, differ) = (self.count(Verdict::AsAssumed), self.count(Verdict::Differs));
        let open = self.count(Verdict::NotSettled);
        let _ = writeln!(out, "\n{fine} as assumed, {differ} differ, {open} not settled");
        if self.interrupted {
            out.push_str("The probe was interrupted.\n");
        }
        self.remains(&mut out);
        out
    }

    fn remains(&self, out: &mut String) {
        if self.left.is_empty() {
            out.push_str("Everything the probe created is dropped again.\n");
        } else {
            out.push_str("Not dropped; please run:\n");
            for sql in &self.left {
                let _ = writeln!(out, "  {sql};");
            }
        }
        if !self.others.is_empty() {
            out.push_str("Of other probes, running or killed, there are:\n");
            for name in &self.others {
                let _ = writeln!(out, "  {name}");
            }
        }
    }

    /// Everything, for others to see.
    #[must_use]
    pub fn json(&self) -> String {
        let mut value = self.value();
        redact(&mut value, &self.about.withheld);
        pretty(&value)
    }

    /// Everything, with the names of account, user, role, warehouse and database.
    #[must_use]
    pub fn json_with_names(&self) -> String {
        let mut value = self.value();
        for (name, word) in &self.about.withheld {
            value["snowflake"][*word] = json!(name);
        }
        pretty(&value)
    }

    fn value(&self) -> Value {
        let facts: Vec<Value> = self.findings.iter().map(fact).collect();
        json!({
            "report": "switchback doctor --probe",
            "format": 1,
            "switchback": env!("CARGO_PKG_VERSION"),
            "probe": self.prefix,
            "snowflake": { "version": self.about.version, "region": self.about.region },
            "interrupted": self.interrupted,
            "as_assumed": self.count(Verdict::AsAssumed),
            "differs": self.count(Verdict::Differs),
            "not_settled": self.count(Verdict::NotSettled),
            "facts": facts,
            "not_dropped": self.left,
            "other_probes": self.others,
            "statements": self.statements,
        })
    }
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

fn fact(finding: &Finding) -> Value {
    let fact = finding.fact;
    json!({
        "id": fact.id,
        "level": finding.level,
        "question": fact.ask(finding.level),
        "basis": fact.basis,
        "page": fact.page(finding.level),
        "expected": fact.expected,
        "observed": finding.observed,
        "verdict": finding.verdict,
        "note": finding.note,
        "statements": group(fact.experiment, finding.level),
    })
}

fn line(out: &mut String, finding: &Finding) {
    let fact = finding.fact;
    let (mark, said) = match (finding.verdict, &finding.observed) {
        (Verdict::AsAssumed, Some(seen)) => ("as assumed", seen.clone()),
        (Verdict::Differs, Some(seen)) => ("DIFFERS", seen.clone()),
        (_, _) => ("not settled", String::new()),
    };
    let _ = writeln!(out, "{}", format!("  {mark:<12} {:<26} {said}", fact.id).trim_end());
    let note = finding.note.as_deref().unwrap_or_default();
    match finding.verdict {
        Verdict::AsAssumed => {}
        Verdict::Differs => {
            let _ = writeln!(out, "{:15}{}", "", fact.ask(finding.level));
            let _ = writeln!(out, "{:15}assumed: {}", "", fact.expected.text());
            if !note.is_empty() {
                let _ = writeln!(out, "{:15}{note}", "");
            }
            let _ = writeln!(out, "{:15}{}", "", fact.page(finding.level));
        }
        Verdict::NotSettled => {
            let _ = writeln!(out, "{:15}{note}", "");
        }
    }
}

/// Puts a word in the place of every name, in texts and in keys' values alike.
fn redact(value: &mut Value, withheld: &[(String, &'static str)]) {
    match value {
        Value::String(text) => {
            for (name, word) in withheld {
                *text = without(text, name, word);
            }
        }
        Value::Array(all) => all.iter_mut().for_each(|one| redact(one, withheld)),
        Value::Object(all) => all.values_mut().for_each(|one| redact(one, withheld)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A text without a name, wherever it stands as a word of its own and in whatever case.
fn without(text: &str, name: &str, word: &str) -> String {
    let (folded, needle) = (text.to_ascii_uppercase(), name.to_ascii_uppercase());
    let goes_on = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for (at, found) in folded.match_indices(&needle) {
        let end = at + found.len();
        let before = text[..at].chars().next_back();
        let after = text[end..].chars().next();
        if at < done || before.is_some_and(goes_on) || after.is_some_and(goes_on) {
            continue;
        }
        let _ = write!(out, "{}<{word}>", &text[done..at]);
        done = end;
    }
    out.push_str(&text[done..]);
    out
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
