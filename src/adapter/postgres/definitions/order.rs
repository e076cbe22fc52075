//! The order in which objects are made: what is needed comes first; where nothing decides, kinds in
//! their order and then as read. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::{Address, Definitions, Kind, Node};
use crate::failure::Failure;

impl Definitions {
    /// Everything that these objects need, themselves included.
    #[must_use]
    pub fn with_needs(&self, of: impl IntoIterator<Item = Address>) -> BTreeSet<Address> {
        let mut found = BTreeSet::new();
        let mut next: Vec<Address> = of.into_iter().collect();
        while let Some(address) = next.pop() {
            if found.insert(address)
                && let Some(needs) = self.needs.get(&address)
            {
                next.extend(needs.iter().copied());
            }
        }
        found
    }

    /// The nodes that make something, in an order in which they can be said; what is said about a
    /// column or fills a view follows at once.
    pub fn making(&self) -> Result<Vec<&Node>, Failure> {
        let mut waiting: BTreeMap<Address, BTreeSet<Address>> = BTreeMap::new();
        let mut makers: BTreeMap<Address, (Kind, usize)> = BTreeMap::new();
        let mut followers: BTreeMap<Address, Vec<&Node>> = BTreeMap::new();
        for (at, node) in self.nodes.iter().enumerate() {
            if node.kind.makes() {
                makers.insert(node.address, (node.kind, at));
            } else if matches!(node.kind, Kind::Column | Kind::Refresh) {
                followers.entry(node.address).or_default().push(node);
            }
        }
        let mut needed_by: BTreeMap<Address, Vec<Address>> = BTreeMap::new();
        let mut ready: BTreeSet<(Kind, usize)> = BTreeSet::new();
        for (address, place) in &makers {
            let needs: BTreeSet<Address> = self
                .needs
                .get(address)
                .into_iter()
                .flatten()
                .filter(|other| makers.contains_key(other))
                .copied()
                .collect();
            for other in &needs {
                needed_by.entry(*other).or_default().push(*address);
            }
            if needs.is_empty() {
                ready.insert(*place);
            } else {
                waiting.insert(*address, needs);
            }
        }
        let mut order = Vec::with_capacity(self.nodes.len());
        while let Some((_, at)) = ready.pop_first() {
            let node = &self.nodes[at];
            order.push(node);
            order.extend(followers.remove(&node.address).into_iter().flatten());
            for address in needed_by.remove(&node.address).into_iter().flatten() {
                if let Some(needs) = waiting.get_mut(&address) {
                    needs.remove(&node.address);
                    if needs.is_empty() {
                        waiting.remove(&address);
                        ready.insert(makers[&address]);
                    }
                }
            }
        }
        if let Some((address, _)) = waiting.first_key_value() {
            let (_, at) = makers[address];
            let first = self.nodes[at].statements.first().map_or("", |text| head(text));
            return Err(Failure::stopped(format!(
                "definitions need each other in a circle, so they cannot be made one by one: {first}"
            )));
        }
        Ok(order)
    }

    /// The nodes that make nothing and come last, in the order of their kinds.
    #[must_use]
    pub fn finishing(&self) -> Vec<&Node> {
        let mut last: Vec<&Node> = self.nodes.iter().filter(|node| node.kind.finishes()).collect();
        last.sort_by_key(|node| node.kind);
        last
    }
}

/// The first line of a statement, for people.
pub fn head(statement: &str) -> &str {
    let line = statement.lines().next().unwrap_or_default();
    let end = line.char_indices().nth(120).map_or(line.len(), |(at, _)| at);
    line[..end].trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: u32, kind: Kind) -> Node {
        let statements = vec![format!("{kind:?} {id}")];
        Node { address: (1, id), table: 0, kind, role: None, statements }
    }

    fn said(definitions: &Definitions) -> Vec<&str> {
        definitions.making().unwrap().iter().map(|node| node.statements[0].as_str()).collect()
    }

    #[test]
    fn what_is_needed_comes_first_and_else_the_kinds_decide() {
        let definitions = Definitions {
            nodes: vec![
                node(1, Kind::View),
                node(2, Kind::Table),
                node(3, Kind::Routine),
                node(2, Kind::Column),
                node(4, Kind::Type),
            ],
            needs: BTreeMap::from([
                ((1, 1), BTreeSet::from([(1, 2)])),
                ((1, 3), BTreeSet::from([(1, 1)])),
            ]),
        };
        assert_eq!(said(&definitions), ["Type 4", "Table 2", "Column 2", "View 1", "Routine 3"]);
        assert_eq!(definitions.with_needs([(1, 3)]), BTreeSet::from([(1, 1), (1, 2), (1, 3)]));
    }

    #[test]
    fn a_circle_is_named() {
        let definitions = Definitions {
            nodes: vec![node(1, Kind::View), node(2, Kind::Routine)],
            needs: BTreeMap::from([
                ((1, 1), BTreeSet::from([(1, 2)])),
                ((1, 2), BTreeSet::from([(1, 1)])),
            ]),
        };
        let failure = definitions.making().unwrap_err();
        assert!(failure.message.contains("in a circle"), "{failure}");
        assert!(failure.message.contains("View 1"), "{failure}");
    }
}
