//! Which session does what next. Pure.
//!
//! A unit is what belongs together: a table's rows in pieces, then its indexes side by side, then
//! its keys and statistics; or one foreign key. A session stays with its unit as long as that has
//! something to say: sessions that add to one table wait for each other, and rows of one moment stay
//! together on disk. Larger units come first, so that the last one is a small one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What can be said at the same time; the next stage begins when all of it is done.
pub enum Stage {
    /// A statement that copies rows, and the pieces of it that are left.
    Pieces { insert: String, pages: u64, at: u64, of: u64 },
    /// Statements, each on its own.
    Parts(VecDeque<Part>),
}

/// Statements that are said in one transaction.
#[derive(Debug, PartialEq, Eq)]
pub struct Part {
    /// The statements.
    pub text: String,
    /// How many bytes are copied then.
    pub bytes: u64,
    /// Whether rows are read, of the moment that all are read of.
    pub reads: bool,
}

/// What belongs together.
pub struct Unit {
    /// What it is about, for people.
    pub name: String,
    /// Its size in bytes: what is told when its rows are there, and what it is sorted by.
    pub bytes: u64,
    /// What it consists of.
    pub stages: VecDeque<Stage>,
    /// Units, by their places, that are done before.
    pub needs: BTreeSet<usize>,
}

/// Something to say.
#[derive(Debug, PartialEq, Eq)]
pub struct Task {
    /// Whose it is.
    pub unit: usize,
    /// What to say.
    pub part: Part,
    /// Whether no other session has something to do meanwhile.
    pub alone: bool,
}

/// What a session does next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Say this.
    Say(Task),
    /// Ask again when another session is done with something.
    Wait,
    /// There is nothing left.
    Nothing,
}

/// All units, and how far they are.
pub struct Work {
    units: Vec<Unit>,
    /// Units that nobody has begun and that need nothing.
    ready: VecDeque<usize>,
    /// Units that are begun and not done, and how many of their parts are being said.
    open: BTreeMap<usize, usize>,
    /// Units that need another one.
    waiting: BTreeSet<usize>,
}

impl Work {
    /// Work of units, of which the largest come first.
    pub fn of(units: Vec<Unit>) -> Self {
        let mut ready: Vec<usize> = (0..units.len()).collect();
        ready.sort_by_key(|at| std::cmp::Reverse(units[*at].bytes));
        let (ready, waiting): (Vec<_>, Vec<_>) =
            ready.into_iter().partition(|at| units[*at].needs.is_empty());
        Self {
            units,
            ready: ready.into(),
            open: BTreeMap::new(),
            waiting: waiting.into_iter().collect(),
        }
    }

    /// How many sessions could be busy at once, of so many.
    pub fn sessions(&self, most: usize) -> usize {
        let width = |unit: &Unit| {
            let width = |stage: &Stage| match stage {
                Stage::Pieces { of, .. } => usize::try_from(*of).unwrap_or(most),
                Stage::Parts(parts) => parts.len(),
            };
            unit.stages.iter().map(width).max().unwrap_or(0).min(most)
        };
        self.units.iter().map(width).sum::<usize>().clamp(1, most.max(1))
    }

    /// What a unit is about.
    pub fn name(&self, unit: usize) -> &str {
        &self.units[unit].name
    }

    /// What a session whose last task was of `last` does next.
    pub fn next(&mut self, last: Option<usize>) -> Next {
        if let Some(task) = last.and_then(|unit| self.take(unit)) {
            return Next::Say(task);
        }
        while let Some(unit) = self.ready.pop_front() {
            self.open.insert(unit, 0);
            self.move_on(unit);
            if let Some(task) = self.take(unit) {
                return Next::Say(task);
            }
        }
        let mut begun: Vec<usize> = self.open.keys().copied().collect();
        begun.sort_by_key(|unit| self.open[unit]);
        match begun.into_iter().find_map(|unit| self.take(unit)) {
            Some(task) => Next::Say(task),
            None if self.open.is_empty() => Next::Nothing,
            None => Next::Wait,
        }
    }

    /// One of a unit's parts was said.
    pub fn done(&mut self, unit: usize) {
        if let Some(saying) = self.open.get_mut(&unit) {
            *saying -= 1;
            if *saying == 0 {
                self.move_on(unit);
            }
        }
    }

    fn take(&mut self, unit: usize) -> Option<Task> {
        let saying = self.open.get_mut(&unit)?;
        let of = &mut self.units[unit];
        let part = of.stages.front_mut()?.take(of.bytes)?;
        *saying += 1;
        let nothing_else =
            |unit: &usize| self.units[*unit].stages.front().is_none_or(Stage::is_said);
        let alone = self.open.values().sum::<usize>() == 1
            && self.ready.is_empty()
            && self.open.keys().all(nothing_else);
        Some(Task { unit, part, alone })
    }

    /// To the next stage of a unit of which nothing is being said; or to its end.
    fn move_on(&mut self, unit: usize) {
        let stages = &mut self.units[unit].stages;
        while stages.front().is_some_and(Stage::is_said) {
            stages.pop_front();
        }
        if !stages.is_empty() {
            return;
        }
        self.open.remove(&unit);
        for other in self.waiting.clone() {
            let needs = &mut self.units[other].needs;
            if needs.remove(&unit) && needs.is_empty() {
                self.waiting.remove(&other);
                // Others have waited for its tables long enough.
                self.ready.push_front(other);
            }
        }
    }
}

impl Stage {
    fn is_said(&self) -> bool {
        match self {
            Self::Pieces { at, of, .. } => at == of,
            Self::Parts(parts) => parts.is_empty(),
        }
    }

    fn take(&mut self, all: u64) -> Option<Part> {
        match self {
            Self::Pieces { at, of, .. } if at == of => None,
            Self::Pieces { insert, pages, at, of } => {
                let page = |at: u64| *pages * at / *of;
                let mut text = format!("{insert} WHERE ctid >= '({},0)'", page(*at));
                if *at + 1 < *of {
                    text = format!("{text} AND ctid < '({},0)'", page(*at + 1));
                }
                let bytes = |at: u64| {
                    u64::try_from(u128::from(all) * u128::from(at) / u128::from(*of)).unwrap_or(all)
                };
                let bytes = bytes(*at + 1) - bytes(*at);
                *at += 1;
                Some(Part { text, bytes, reads: true })
            }
            Self::Parts(parts) => parts.pop_front(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(text: &str) -> Part {
        Part { text: text.to_owned(), bytes: 0, reads: false }
    }

    fn parts(texts: &[&str]) -> Stage {
        Stage::Parts(texts.iter().map(|text| part(text)).collect())
    }

    fn rows(name: &str, of: u64) -> Stage {
        Stage::Pieces { insert: name.to_owned(), pages: of * 10, at: 0, of }
    }

    fn unit(name: &str, bytes: u64, stages: Vec<Stage>, needs: &[usize]) -> Unit {
        let needs = needs.iter().copied().collect();
        Unit { name: name.to_owned(), bytes, stages: stages.into(), needs }
    }

    /// Sessions that say one thing after another, each as long as it is; what each began, in order.
    fn play(work: &mut Work, sessions: usize) -> Vec<String> {
        let mut doing: Vec<Option<usize>> = vec![None; sessions];
        let mut last = doing.clone();
        let mut said = Vec::new();
        loop {
            let mut waiting = 0;
            for at in 0..sessions {
                if let Some(unit) = doing[at].take() {
                    work.done(unit);
                }
                match work.next(last[at]) {
                    Next::Say(task) => {
                        let alone = if task.alone { " alone" } else { "" };
                        said.push(format!("{at} {}{alone}", task.part.text));
                        last[at] = Some(task.unit);
                        doing[at] = Some(task.unit);
                    }
                    Next::Wait => waiting += 1,
                    Next::Nothing => {}
                }
            }
            assert!(waiting < sessions, "everybody waits: {said:?}");
            if doing.iter().all(Option::is_none) {
                return said;
            }
        }
    }

    #[test]
    fn each_page_is_in_one_piece() {
        let mut work = Work::of(vec![unit("t", 100, vec![rows("t", 3)], &[])]);
        let mut bytes = 0;
        let mut ranges = Vec::new();
        while let Next::Say(task) = work.next(None) {
            bytes += task.part.bytes;
            ranges.push(task.part.text.split_once("WHERE ").expect("a range").1.to_owned());
            work.done(task.unit);
        }
        assert_eq!(bytes, 100);
        assert_eq!(
            ranges,
            [
                "ctid >= '(0,0)' AND ctid < '(10,0)'",
                "ctid >= '(10,0)' AND ctid < '(20,0)'",
                "ctid >= '(20,0)'"
            ]
        );
    }

    #[test]
    fn sessions_stay_with_their_tables_and_help_where_nothing_else_is_left() {
        let tail = || vec![parts(&["key"]), parts(&["index 1", "index 2"]), parts(&["analyze"])];
        let mut large = vec![parts(&["l1", "l2", "l3", "l4"])];
        large.extend(tail());
        let units = vec![
            unit("small", 1, vec![parts(&["s"])], &[]),
            unit("large", 9, large, &[]),
            unit("middle", 5, vec![parts(&["m1", "m2"])], &[]),
        ];
        let said = play(&mut Work::of(units), 2);
        assert_eq!(
            said,
            [
                "0 l1",
                "1 m1",
                "0 l2",
                "1 m2",
                "0 l3",
                "1 s",
                "0 l4",
                "0 key alone",
                "0 index 1",
                "1 index 2",
                "1 analyze alone"
            ]
        );
    }

    #[test]
    fn a_foreign_key_comes_as_soon_as_both_of_its_tables_are_there_and_alone_with_them() {
        let units = vec![
            unit("a", 9, vec![parts(&["a"])], &[]),
            unit("b", 8, vec![parts(&["b"])], &[]),
            unit("c", 7, vec![parts(&["c"])], &[]),
            unit("a to b", 9, vec![parts(&["a to b"])], &[0, 1]),
            unit("b to a", 8, vec![parts(&["b to a"])], &[0, 1, 3]),
        ];
        let said = play(&mut Work::of(units), 2);
        assert_eq!(said, ["0 a", "1 b", "0 c", "1 a to b", "1 b to a alone"]);
    }

    proptest::proptest! {
        #[test]
        fn everything_is_said_once_and_after_what_it_needs(
            shape in proptest::collection::vec((0_u64..50, 0_usize..4, 0_usize..3), 1..12),
            sessions in 1_usize..5,
        ) {
            let mut units = Vec::new();
            for (at, (bytes, first, second)) in shape.iter().enumerate() {
                let texts = |stage: usize, count: usize| {
                    Stage::Parts((0..count).map(|n| part(&format!("{at} {stage} {n}"))).collect())
                };
                let stages = vec![texts(0, *first), texts(1, *second)];
                let needs: Vec<usize> = (0..at).filter(|other| (other + at) % 3 == 0).collect();
                units.push(unit(&at.to_string(), *bytes, stages, &needs));
            }
            let needs: Vec<BTreeSet<usize>> = units.iter().map(|one| one.needs.clone()).collect();
            let said = play(&mut Work::of(units), sessions);
            let said: Vec<(usize, usize, usize)> = said
                .iter()
                .map(|text| {
                    let words = text.trim_end_matches(" alone").split(' ');
                    let all: Vec<usize> =
                        words.map(|word| word.parse().expect("a number")).collect();
                    (all[1], all[2], all[3])
                })
                .collect();
            let wanted: usize = shape.iter().map(|(_, first, second)| first + second).sum();
            proptest::prop_assert_eq!(said.len(), wanted);
            let place = |of: &(usize, usize, usize)| said.iter().position(|one| one == of);
            for (at, one) in said.iter().enumerate() {
                proptest::prop_assert_eq!(place(one), Some(at), "said twice");
                for other in said.iter().filter(|other| needs[one.0].contains(&other.0)) {
                    proptest::prop_assert!(place(other) < Some(at));
                }
                for other in said.iter().filter(|other| other.0 == one.0 && other.1 < one.1) {
                    proptest::prop_assert!(place(other) < Some(at));
                }
            }
        }
    }
}
