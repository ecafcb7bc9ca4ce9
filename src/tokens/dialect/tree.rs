//! JSON pointers as a tree, for a reader that meets their names one after another.

/// A node on the path of one or more pointers.
#[derive(Debug)]
pub struct Tree<T> {
    name: &'static str,
    /// The rank and the value of the pointer that ends here; the lowest rank wins.
    pub leaf: Option<(usize, T)>,
    /// The members of an object.
    pub members: Vec<Tree<T>>,
    /// Every element of an array: `*`.
    pub elements: Option<Box<Tree<T>>>,
}

impl<T> Tree<T> {
    /// Builds the tree of pointers; their order is their rank. Of two equal pointers, the first
    /// stays.
    pub fn of(pointers: impl Iterator<Item = (&'static str, T)>) -> Self {
        let mut root = Self::new("");
        for (rank, (pointer, value)) in pointers.enumerate() {
            root.insert(segments(pointer), (rank, value));
        }
        root
    }

    fn new(name: &'static str) -> Self {
        Self {
            name,
            leaf: None,
            members: Vec::new(),
            elements: None,
        }
    }

    fn insert(&mut self, mut names: impl Iterator<Item = &'static str>, leaf: (usize, T)) {
        match names.next() {
            None => {
                self.leaf.get_or_insert(leaf);
            }
            Some("*") => {
                let new = || Box::new(Self::new("*"));
                self.elements.get_or_insert_with(new).insert(names, leaf);
            }
            Some(name) => {
                let same = self.members.iter_mut().find(|m| m.name == name);
                if let Some(member) = same {
                    member.insert(names, leaf);
                } else {
                    let mut member = Self::new(name);
                    member.insert(names, leaf);
                    self.members.push(member);
                }
            }
        }
    }

    /// Returns the position of the member with a name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.members.iter().position(|member| member.name == name)
    }
}

/// Returns the names in a JSON pointer. No name has a `/` or a `~`, so nothing is escaped.
pub fn segments(pointer: &'static str) -> impl Iterator<Item = &'static str> {
    pointer.split('/').skip(1)
}
