//! JSON texts that arrive in pieces, read along a [`Tree`] of pointers.
//!
//! The scanner knows the path it is on, and stores nothing but a name or a short value that is cut by
//! the end of a piece. Texts may follow one another, also as the elements of an array (JSON Lines,
//! and streams in one array). What lies off the tree is skipped by its quotes and brackets alone:
//! invalid UTF-8, numbers of any size and any depth pass.
//!
//! Source: RFC 8259. The reader is lenient: it never fails, and a text that is no JSON has no values
//! or wrong ones.

mod bytes;
mod string;
mod tree;

pub use tree::{NodeId, Tree, names};

use bytes::{ENDS_BARE, NESTS, is, plain_string, split_at, split_behind};
use memchr::memchr2;
use string::Text;

/// The maximum number of open containers on the tree. A pointer has fewer names.
pub const MOST_DEPTH: usize = 16;

/// A value at a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Null.
    Null,
    /// A number, a boolean, or what else stands there unquoted.
    Bare(&'a [u8]),
    /// A string.
    Text {
        /// Its start, unescaped: at most 64 bytes.
        start: &'a [u8],
        /// True when `start` is all of it.
        is_whole: bool,
        /// Its length between the quotes, in bytes.
        length: u64,
    },
    /// An object.
    Object,
    /// An array.
    Array,
}

impl<'a> Value<'a> {
    /// Returns an unquoted value; `None` is one of too many bytes, and no number.
    fn of_bare(bare: Option<&'a [u8]>) -> Self {
        match bare {
            Some(b"null") => Self::Null,
            Some(bare) => Self::Bare(bare),
            None => Self::Bare(&[]),
        }
    }
}

/// The reader of a scanner's values.
pub trait Sink<L> {
    /// Takes a value at a leaf. A container comes when it opens.
    fn value(&mut self, leaf: &L, value: Value<'_>);

    /// Takes a piece of a string at a leaf, escapes and all, before its value comes.
    fn piece(&mut self, _leaf: &L, _raw: &[u8]) {}

    /// Takes the end of a text: an object that is no element of an object.
    fn text_ends(&mut self);
}

/// An open container on the tree.
#[derive(Clone, Copy, Debug, Default)]
struct OpenContainer {
    node: NodeId,
    is_object: bool,
}

/// The kind of the string that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// A name in an object of the tree.
    Name,
    /// A value at a leaf.
    Leaf,
    /// Any other.
    Other,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ScanState {
    /// Between texts.
    #[default]
    Outside,
    /// In an object: before a name or the end.
    Member,
    /// Behind a name.
    Colon,
    /// Before a value, or before the end of an array.
    Value,
    /// In a string.
    InString(Role),
    /// In an unquoted value.
    InBare,
    /// In a container off the tree.
    Skip,
}

/// The state of a scan: less than 400 bytes, without a heap.
#[derive(Debug, Default)]
pub struct Scanner {
    state: ScanState,
    frames: [OpenContainer; MOST_DEPTH],
    depth: usize,
    /// The open containers off the tree.
    skipped: u64,
    /// The node of the current value, if it is on the tree.
    node: Option<NodeId>,
    text: Text,
}

impl Scanner {
    /// True between texts.
    pub fn is_outside(&self) -> bool {
        self.state == ScanState::Outside
    }

    /// Reads the next piece. All pieces are read along the same tree.
    pub fn feed<L>(&mut self, tree: &Tree<L>, mut piece: &[u8], sink: &mut impl Sink<L>) {
        while let Some((&byte, after)) = piece.split_first() {
            piece = match self.state {
                ScanState::Outside => self.outside(piece),
                ScanState::InString(role) => self.in_string(role, piece, tree, sink),
                ScanState::InBare => self.in_bare(piece, tree, sink),
                ScanState::Skip => self.skip(piece, tree),
                ScanState::Member => self.member(byte, after, sink, tree),
                ScanState::Colon => self.colon(byte, piece, after),
                ScanState::Value => self.value(byte, piece, after, tree, sink),
            };
        }
    }

    /// Returns the bytes behind the start of the next text, or of a string outside of texts.
    fn outside<'a>(&mut self, piece: &'a [u8]) -> &'a [u8] {
        let Some(at) = memchr2(b'{', b'"', piece) else {
            return &[];
        };
        let (start, after) = split_behind(piece, at);
        if start.last() == Some(&b'{') {
            self.open(NodeId::ROOT, true);
        } else {
            self.begin_string(Role::Other);
        }
        after
    }

    fn member<'a, L>(
        &mut self,
        byte: u8,
        after: &'a [u8],
        sink: &mut impl Sink<L>,
        tree: &Tree<L>,
    ) -> &'a [u8] {
        match byte {
            b'"' => {
                if let Some((name, rest)) = plain_string(after) {
                    self.name(tree, name);
                    return self.behind_name(rest);
                }
                self.begin_string(Role::Name);
            }
            b'}' => self.close(tree, sink),
            b'{' | b'[' => self.begin_skip(),
            _ => {}
        }
        after
    }

    fn colon<'a>(&mut self, byte: u8, piece: &'a [u8], after: &'a [u8]) -> &'a [u8] {
        match byte {
            b':' => self.state = ScanState::Value,
            b'"' | b',' | b'}' => {
                self.state = ScanState::Member;
                return piece;
            }
            _ => {}
        }
        after
    }

    fn value<'a, L>(
        &mut self,
        byte: u8,
        piece: &'a [u8],
        after: &'a [u8],
        tree: &Tree<L>,
        sink: &mut impl Sink<L>,
    ) -> &'a [u8] {
        let leaf = self.node.and_then(|node| tree.leaf(node));
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => {}
            b',' if self.is_in_object() => self.state = ScanState::Member,
            b',' | b':' => {}
            b'"' if leaf.is_some() => self.begin_string(Role::Leaf),
            b'"' => {
                if let Some((_, rest)) = plain_string(after) {
                    return self.behind_value(rest, tree);
                }
                self.begin_string(Role::Other);
            }
            b'{' | b'[' => {
                if let Some(leaf) = leaf {
                    let value = match byte {
                        b'{' => Value::Object,
                        _ => Value::Array,
                    };
                    sink.value(leaf, value);
                }
                let node = self.node.filter(|node| tree.has_inner(*node));
                match node.filter(|_| self.depth < MOST_DEPTH) {
                    Some(node) => self.open_in(tree, node, byte == b'{'),
                    None => self.begin_skip(),
                }
            }
            b'}' | b']' => self.close(tree, sink),
            _ => return self.begin_bare(piece, tree, sink),
        }
        after
    }

    /// Begins an unquoted value, and ends one that is whole in the piece.
    fn begin_bare<'a, L>(
        &mut self,
        piece: &'a [u8],
        tree: &Tree<L>,
        sink: &mut impl Sink<L>,
    ) -> &'a [u8] {
        let Some(end) = piece.iter().position(|byte| is(*byte, ENDS_BARE)) else {
            self.text.clear();
            self.state = ScanState::InBare;
            return piece;
        };
        let (bare, rest) = split_at(piece, end);
        if let Some(leaf) = self.node.and_then(|node| tree.leaf(node)) {
            let is_kept = bare.len() <= string::KEPT_BYTES;
            sink.value(leaf, Value::of_bare(is_kept.then_some(bare)));
        }
        self.behind_value(rest, tree)
    }

    fn in_bare<'a, L>(
        &mut self,
        piece: &'a [u8],
        tree: &Tree<L>,
        sink: &mut impl Sink<L>,
    ) -> &'a [u8] {
        let end = piece.iter().position(|byte| is(*byte, ENDS_BARE));
        let (bytes, rest) = split_at(piece, end.unwrap_or(piece.len()));
        let leaf = self.node.and_then(|node| tree.leaf(node));
        if leaf.is_some() {
            self.text.push_plain(bytes);
        }
        if end.is_some() {
            if let Some(leaf) = leaf {
                sink.value(leaf, Value::of_bare(self.text.whole()));
            }
            return self.behind_value(rest, tree);
        }
        rest
    }

    fn in_string<'a, L>(
        &mut self,
        role: Role,
        piece: &'a [u8],
        tree: &Tree<L>,
        sink: &mut impl Sink<L>,
    ) -> &'a [u8] {
        let (raw, rest, has_end) = self.text.take(piece, role != Role::Other);
        let leaf = self.node.and_then(|node| tree.leaf(node));
        if role == Role::Leaf
            && let Some(leaf) = leaf
            && !raw.is_empty()
        {
            sink.piece(leaf, raw);
        }
        if !has_end {
            return rest;
        }
        match role {
            Role::Name => {
                let frame = self.frame();
                // No pointer has a name this long.
                self.node = frame.and_then(|frame| match self.text.whole() {
                    Some(name) => tree.member(frame.node, name),
                    None => tree.element(frame.node),
                });
                self.state = ScanState::Colon;
            }
            Role::Leaf => {
                if let Some(leaf) = leaf {
                    sink.value(leaf, self.text.value());
                }
                self.value_ends(tree);
            }
            Role::Other if self.skipped > 0 => self.state = ScanState::Skip,
            Role::Other => self.value_ends(tree),
        }
        rest
    }

    /// Skips a container off the tree, up to its end or its next string.
    fn skip<'a, L>(&mut self, piece: &'a [u8], tree: &Tree<L>) -> &'a [u8] {
        let mut rest = piece;
        while let Some(at) = rest.iter().position(|byte| is(*byte, NESTS)) {
            let (start, after) = split_behind(rest, at);
            rest = after;
            match start.last() {
                Some(b'"') => match plain_string(after) {
                    Some((_, behind)) => rest = behind,
                    None => {
                        self.begin_string(Role::Other);
                        return after;
                    }
                },
                Some(b'{' | b'[') => self.skipped = self.skipped.saturating_add(1),
                _ => {
                    self.skipped = self.skipped.saturating_sub(1);
                    if self.skipped == 0 {
                        self.value_ends(tree);
                        return after;
                    }
                }
            }
        }
        &[]
    }

    /// Takes a name in an object.
    fn name<L>(&mut self, tree: &Tree<L>, name: &[u8]) {
        let frame = self.frame();
        self.node = frame.and_then(|frame| tree.member(frame.node, name));
        self.state = ScanState::Colon;
    }

    /// Goes on behind a name: most have their colon there.
    fn behind_name<'a>(&mut self, rest: &'a [u8]) -> &'a [u8] {
        match rest.strip_prefix(b":") {
            Some(value) => {
                self.state = ScanState::Value;
                value
            }
            None => rest,
        }
    }

    /// Goes on behind a value: most have a comma there.
    fn behind_value<'a, L>(&mut self, rest: &'a [u8], tree: &Tree<L>) -> &'a [u8] {
        self.value_ends(tree);
        rest.strip_prefix(b",").unwrap_or(rest)
    }

    fn begin_string(&mut self, role: Role) {
        self.text.clear();
        self.state = ScanState::InString(role);
    }

    fn begin_skip(&mut self) {
        self.skipped = 1;
        self.state = ScanState::Skip;
    }

    fn frame(&self) -> Option<OpenContainer> {
        self.frames.get(self.depth.checked_sub(1)?).copied()
    }

    fn is_in_object(&self) -> bool {
        self.frame().is_some_and(|frame| frame.is_object)
    }

    fn open_in<L>(&mut self, tree: &Tree<L>, node: NodeId, is_object: bool) {
        self.open(node, is_object);
        if !is_object {
            self.value_ends(tree);
        }
    }

    fn open(&mut self, node: NodeId, is_object: bool) {
        if let Some(frame) = self.frames.get_mut(self.depth) {
            *frame = OpenContainer { node, is_object };
            self.depth = self.depth.saturating_add(1);
            self.state = ScanState::Member;
        }
    }

    fn close<L>(&mut self, tree: &Tree<L>, sink: &mut impl Sink<L>) {
        self.depth = self.depth.saturating_sub(1);
        if self.depth == 0 {
            sink.text_ends();
        }
        self.value_ends(tree);
    }

    /// Goes on behind a value, or behind the start of an array.
    fn value_ends<L>(&mut self, tree: &Tree<L>) {
        self.state = match self.frame() {
            None => ScanState::Outside,
            Some(frame) if frame.is_object => ScanState::Member,
            Some(frame) => {
                self.node = tree.element(frame.node);
                ScanState::Value
            }
        };
    }
}

#[cfg(test)]
mod tests;
