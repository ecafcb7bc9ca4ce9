//! The node that a JSON path of the parser names.

use super::tree::{Bytes, DocNode, DocValue};

/// A node, by the index of each member or element on the way from the root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodePlace {
    pub steps: Vec<usize>,
    /// The rest of a path: the name of a member that there is not.
    pub rest: String,
}

impl NodePlace {
    /// Finds the place of a path such as `tiers[0].limits.rpm`, or of the deepest value on its way
    /// that there is.
    pub fn find(root: &DocNode, path: &str) -> Self {
        let mut place = Self::default();
        let (mut node, mut rest) = (root, path);
        while let Some((step, child, left)) = step(node, rest) {
            place.steps.push(step);
            (node, rest) = (child, left);
        }
        if rest != "$" {
            place.rest = rest.trim_start_matches('.').to_owned();
        }
        place
    }

    /// Returns the node.
    pub fn node<'a>(&self, root: &'a DocNode) -> Option<&'a DocNode> {
        let mut steps = self.steps.iter();
        steps.try_fold(root, |node, step| match &node.value {
            DocValue::List(elements) => elements.get(*step),
            DocValue::Map(members) => members.get(*step).map(|m| &m.value),
            _ => None,
        })
    }

    /// Returns the node, to be changed.
    pub fn node_mut<'a>(&self, root: &'a mut DocNode) -> Option<&'a mut DocNode> {
        let mut steps = self.steps.iter();
        steps.try_fold(root, |node, step| match &mut node.value {
            DocValue::List(elements) => elements.get_mut(*step),
            DocValue::Map(members) => members.get_mut(*step).map(|m| &mut m.value),
            _ => None,
        })
    }

    /// Returns the place of the list or object around this one, and the index in it.
    pub fn around(&self) -> Option<(Self, usize)> {
        let (last, before) = self.steps.split_last()?;
        let around = Self {
            steps: before.to_vec(),
            rest: String::new(),
        };
        Some((around, *last))
    }

    /// Returns the name of this member, and where it stands.
    pub fn name(&self, root: &DocNode) -> Option<(String, Bytes)> {
        let (around, index) = self.around()?;
        let member = around.node(root)?.members().get(index)?;
        Some((member.name.clone(), member.name_at.clone()))
    }

    /// Returns the name of the member that there is not.
    pub fn missing(&self) -> Option<&str> {
        let is_name = |text: &str| !text.is_empty() && !text.contains(['.', '[']);
        Some(self.rest.as_str()).filter(|rest| is_name(rest))
    }

    /// True when the value, or one around it, is not the operator's.
    pub fn is_made(&self, root: &DocNode) -> bool {
        let lengths = 0..=self.steps.len();
        let mut on_the_way = lengths.map(|n| Self {
            steps: self.steps.iter().take(n).copied().collect(),
            rest: String::new(),
        });
        on_the_way.any(|place| place.node(root).is_some_and(|node| node.is_made))
    }
}

/// Goes one step down a path: the index, the child, and what is left of the path.
fn step<'a, 'b>(node: &'a DocNode, path: &'b str) -> Option<(usize, &'a DocNode, &'b str)> {
    match &node.value {
        DocValue::List(elements) => {
            let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
            let index: usize = index.parse().ok()?;
            Some((index, elements.get(index)?, rest))
        }
        DocValue::Map(members) => {
            let path = path.strip_prefix('.').unwrap_or(path);
            let rest_behind = |name: &str| {
                let rest = path.strip_prefix(name)?;
                (rest.is_empty() || rest.starts_with(['.', '['])).then_some(rest)
            };
            let fitting = members
                .iter()
                .enumerate()
                .filter_map(|(i, member)| Some((i, &member.value, rest_behind(&member.name)?)));
            // A name may have a point in it: the longest that fits is meant.
            fitting.min_by_key(|(_, _, rest)| rest.len())
        }
        _ => None,
    }
}
