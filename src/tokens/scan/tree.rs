//! JSON pointers as a tree, for a reader that meets their names one after another.
//!
//! A pointer is one of RFC 6901, and `*` in it stands for each element of an array, or for each
//! member of an object that no other pointer names.

use std::borrow::Cow;
use std::cmp::Ordering;

/// The name that stands for each element or member.
const EACH: &str = "*";

/// A tree of pointers, each with a leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree<L> {
    nodes: Vec<Node<L>>,
}

/// A place on the path of one or more pointers.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Node<L> {
    leaf: Option<L>,
    /// In the order of [`by_length`].
    members: Vec<(Box<[u8]>, NodeId)>,
    /// Members by names in any case, for names that are not in `members`.
    any_case: Vec<(Box<[u8]>, NodeId)>,
    each: Option<NodeId>,
}

/// A node of one tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeId(u16);

impl NodeId {
    /// The node of a whole text.
    pub const ROOT: Self = Self(0);
}

impl<L> Node<L> {
    const fn new() -> Self {
        Self {
            leaf: None,
            members: Vec::new(),
            any_case: Vec::new(),
            each: None,
        }
    }
}

impl<L> Tree<L> {
    /// Builds the tree of some pointers. Of two equal pointers, the first one's leaf stays.
    pub fn of(pointers: impl IntoIterator<Item = (String, L)>) -> Self {
        let mut tree = Self {
            nodes: vec![Node::new()],
        };
        for (pointer, leaf) in pointers {
            tree.insert(&pointer, leaf);
        }
        tree
    }

    /// Adds a pointer; false when it has a leaf already, or the tree is full.
    pub fn insert(&mut self, pointer: &str, leaf: L) -> bool {
        let names: Vec<_> = names(pointer).collect();
        self.insert_names(&names, names.len(), leaf)
    }

    /// Adds all spellings of a pointer whose letters differ in case from it.
    pub fn insert_other_cases(&mut self, pointer: &str, leaf: L)
    where
        L: Copy,
    {
        let names: Vec<_> = names(pointer).collect();
        for exact in 0..names.len() {
            self.insert_names(&names, exact, leaf);
        }
    }

    /// Adds the path of some names, of which the first `exact` ones match in their own case alone.
    fn insert_names(&mut self, names: &[Cow<'_, str>], exact: usize, leaf: L) -> bool {
        let mut at = NodeId::ROOT;
        for (depth, name) in names.iter().enumerate() {
            let is_exact = depth < exact;
            let known = match &**name {
                EACH => self.node(at).and_then(|node| node.each),
                name if is_exact => self.named(at, name.as_bytes()),
                name => self.in_any_case(at, name.as_bytes()),
            };
            let next = known.or_else(|| self.grow(at, name, is_exact));
            let Some(next) = next else { return false };
            at = next;
        }
        match self.nodes.get_mut(usize::from(at.0)) {
            Some(node) if node.leaf.is_none() => {
                node.leaf = Some(leaf);
                true
            }
            _ => false,
        }
    }

    /// Adds a node; `None` when the tree is full.
    fn grow(&mut self, at: NodeId, name: &str, is_exact: bool) -> Option<NodeId> {
        let id = NodeId(u16::try_from(self.nodes.len()).ok()?);
        let node = self.nodes.get_mut(usize::from(at.0))?;
        match name {
            EACH => node.each = Some(id),
            name if is_exact => {
                let known = node
                    .members
                    .binary_search_by(|(n, _)| by_length(n, name.as_bytes()));
                let at = known.unwrap_or_else(|at| at);
                node.members.insert(at, (name.as_bytes().into(), id));
            }
            name => node.any_case.push((name.as_bytes().into(), id)),
        }
        self.nodes.push(Node::new());
        Some(id)
    }

    fn node(&self, id: NodeId) -> Option<&Node<L>> {
        self.nodes.get(usize::from(id.0))
    }

    fn named(&self, id: NodeId, name: &[u8]) -> Option<NodeId> {
        let members = &self.node(id)?.members;
        let at = members.binary_search_by(|(known, _)| by_length(known, name));
        members.get(at.ok()?).map(|(_, id)| *id)
    }

    fn in_any_case(&self, id: NodeId, name: &[u8]) -> Option<NodeId> {
        let members = &self.node(id)?.any_case;
        let member = members
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        member.map(|(_, id)| *id)
    }

    /// Returns the node of an object's member.
    pub fn member(&self, id: NodeId, name: &[u8]) -> Option<NodeId> {
        let named = self.named(id, name);
        let named = named.or_else(|| self.in_any_case(id, name));
        named.or_else(|| self.element(id))
    }

    /// Returns the node of an array's elements.
    pub fn element(&self, id: NodeId) -> Option<NodeId> {
        self.node(id)?.each
    }

    /// Returns the leaf of a node.
    pub fn leaf(&self, id: NodeId) -> Option<&L> {
        self.node(id)?.leaf.as_ref()
    }

    /// True when pointers go on inside a node.
    pub fn has_inner(&self, id: NodeId) -> bool {
        self.node(id).is_some_and(|node| {
            node.each.is_some() || !node.members.is_empty() || !node.any_case.is_empty()
        })
    }
}

/// Compares two names: by length, and names of one length by their bytes.
fn by_length(a: &[u8], b: &[u8]) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// Returns the names in a pointer, unescaped.
pub fn names(pointer: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let names = pointer.split('/').skip(1);
    names.map(|name| match name.contains('~') {
        true => name.replace("~1", "/").replace("~0", "~").into(),
        false => name.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_leads_to_its_leaf() {
        let pointers = ["/a/b", "/a/*/c", "/a~1b/m~0n", "", "/a/b"];
        let leaves = pointers
            .iter()
            .zip(0..)
            .map(|(p, leaf)| ((*p).to_owned(), leaf));
        let tree: Tree<i32> = Tree::of(leaves);
        let walk = |names: &[&str]| {
            let start = Some(NodeId::ROOT);
            let step = |at: Option<NodeId>, name: &&str| tree.member(at?, name.as_bytes());
            names.iter().fold(start, step)
        };
        let leaf = |names: &[&str]| tree.leaf(walk(names)?).copied();
        assert_eq!(leaf(&["a", "b"]), Some(0), "the first of two");
        assert_eq!(leaf(&["a", "x", "c"]), Some(1));
        assert_eq!(leaf(&["a/b", "m~n"]), Some(2));
        assert_eq!(leaf(&[]), Some(3));
        assert_eq!(leaf(&["a"]), None);
        assert_eq!(walk(&["b"]), None);
        let each = walk(&["a"]).and_then(|a| tree.element(a));
        assert_eq!(each, walk(&["a", "0"]));
    }

    #[test]
    fn other_cases_of_a_pointer_have_a_leaf_of_their_own() {
        let mut tree: Tree<i32> = Tree::of([("/a/b".to_owned(), 0)]);
        assert!(!tree.insert("/a/b", 1), "the first one's leaf stays");
        tree.insert_other_cases("/a/b", 2);
        let leaf = |names: [&str; 2]| {
            let a = tree.member(NodeId::ROOT, names[0].as_bytes())?;
            tree.leaf(tree.member(a, names[1].as_bytes())?).copied()
        };
        assert_eq!(leaf(["a", "b"]), Some(0));
        for other in [["a", "B"], ["A", "b"], ["A", "B"]] {
            assert_eq!(leaf(other), Some(2), "{other:?}");
        }
        assert_eq!(leaf(["a", "c"]), None);
    }
}
