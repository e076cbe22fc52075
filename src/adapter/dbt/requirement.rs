//! dbt's versions as Python and Fusion write them, and `require-dbt-version` as dbt reads it.
//!
//! `semver`'s own ranges refuse pre-releases that were not asked for; dbt's do not, except that
//! `<2.0.0` also refuses 2.0.0's own pre-releases. So versions are ordered by `semver` and judged
//! here.
//!
//! May import nothing of this crate.

use semver::{BuildMetadata, Prerelease, Version};

/// Reads `1.11.16`, `1.11.0b3`, `1.10.0rc2.dev1`, `2.0.0-preview.45`, `1.8`.
#[must_use]
pub fn parse_version(text: &str) -> Option<Version> {
    let text = text.trim().trim_start_matches('v');
    let text = text.split('+').next()?;
    let digits = text.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(text.len());
    let (numbers, rest) = text.split_at(digits);
    // `1.11.0.dev3` leaves a dot behind.
    let mut numbers = numbers.trim_end_matches('.').split('.').map(str::parse::<u64>);
    let mut next = || numbers.next().unwrap_or(Ok(0)).ok();
    let mut version = Version::new(next()?, next()?, next()?);
    version.pre = prerelease(rest)?;
    version.build = BuildMetadata::EMPTY;
    Some(version)
}

/// `b10` must come after `b9`, so digits become a part of their own. A post-release is as good as
/// the release.
fn prerelease(rest: &str) -> Option<Prerelease> {
    let rest = rest.trim_start_matches(['-', '.', '_']);
    if rest.is_empty() || rest.starts_with("post") {
        return Some(Prerelease::EMPTY);
    }
    let mut parts = String::new();
    let mut previous: Option<char> = None;
    for c in rest.chars() {
        let turns = previous.is_some_and(|p| {
            p.is_ascii_digit() != c.is_ascii_digit() && p != '.' && c != '.' && p != '-' && c != '-'
        });
        if turns {
            parts.push('.');
        }
        parts.push(c);
        previous = Some(c);
    }
    Prerelease::new(&parts).ok()
}

/// Whether `version` keeps every bound. `Err` names a bound that cannot be read.
pub fn satisfies(version: &Version, bounds: &[String]) -> Result<bool, String> {
    for bound in bounds {
        let text = bound.trim();
        let split = text.find(|c| !"<>=".contains(c)).unwrap_or(text.len());
        let (matcher, number) = text.split_at(split);
        let limit = parse_version(number)
            .filter(|_| number.trim().starts_with(|c: char| c.is_ascii_digit()))
            .ok_or_else(|| bound.clone())?;
        let kept = match matcher {
            ">=" => *version >= limit,
            ">" => *version > limit,
            "<=" => *version <= limit,
            "<" => {
                let is_its_prerelease = limit.pre.is_empty()
                    && !version.pre.is_empty()
                    && (version.major, version.minor, version.patch)
                        == (limit.major, limit.minor, limit.patch);
                *version < limit && !is_its_prerelease
            }
            "" | "=" | "==" => *version == limit,
            _ => return Err(bound.clone()),
        };
        if !kept {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        parse_version(text).unwrap()
    }

    fn holds(text: &str, bounds: &[&str]) -> bool {
        let bounds: Vec<String> = bounds.iter().map(|bound| (*bound).to_owned()).collect();
        satisfies(&version(text), &bounds).unwrap()
    }

    #[test]
    fn python_versions_order_as_python_orders_them() {
        let ordered = ["1.8.0a1", "1.8.0b3", "1.8.0b10", "1.8.0rc1", "1.8.0", "1.8.10", "1.11.0"];
        for pair in ordered.windows(2) {
            assert!(version(pair[0]) < version(pair[1]), "{pair:?}");
        }
        assert_eq!(version("1.8.0.post1"), version("1.8"));
        assert_eq!(version("1.8.0+local.3"), version("1.8.0"));
        assert!(version("2.0.0-preview.45") < version("2.0.0"));
        assert_eq!(version("1.11.0.dev3").to_string(), "1.11.0-dev.3");
        assert!(parse_version("none").is_none() || version("none") == Version::new(0, 0, 0));
    }

    #[test]
    fn bounds_are_read_as_dbt_reads_them() {
        assert!(holds("1.11.16", &[">=1.8.0", "<2.0.0"]));
        assert!(!holds("2.0.0", &[">=1.8.0", "<2.0.0"]));
        assert!(holds("1.11.0b3", &[">=1.8.0"]), "a pre-release counts");
        assert!(!holds("2.0.0rc1", &["<2.0.0"]), "but not one of the excluded release");
        assert!(holds("1.8.0", &["=1.8.0"]) && holds("1.8.0", &["1.8.0"]));
        assert!(!holds("1.8.1", &["=1.8.0"]));
        assert!(holds("1.8.1", &[]));
        assert!(holds("1.8.1", &["> 1.8.0", "<=1.8.1"]));
    }

    #[test]
    fn a_bound_that_cannot_be_read_is_named() {
        let bad = satisfies(&version("1.8.0"), &["~1.8".to_owned()]);
        assert_eq!(bad, Err("~1.8".to_owned()));
    }
}
