//! Several dialects as one, for the readers.

use super::{Dialect, Fact, Field, MediaForm, RequestShape, TextKind, UsageShape};
use crate::tokens::scan::Tree;

/// The meaning of a value in a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaf {
    /// A count.
    Count {
        /// Its meaning.
        field: Field,
        /// The rank of its name among those of the same field: the lowest decides.
        rank: u8,
        /// True when the output is not known yet.
        is_early: bool,
    },
    /// A count that is added to the others of its field.
    Part(Field),
    /// Another fact.
    Fact(Fact),
}

/// The meaning of a value in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestLeaf {
    /// The maximum of completion tokens of one choice.
    Completion,
    /// The number of choices.
    Choices,
    /// A prompt, or a list of them.
    PromptList,
    /// A prompt of a list.
    Prompt,
    /// A picture or a file.
    Media(MediaForm),
    /// The model, by the pointer of this number, from 0.
    Model(usize),
    /// A value that other readers may take for that of [`Self::Model`]: its names differ in case.
    ModelInOtherCase(usize),
}

/// Several dialects, merged for the readers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialects {
    /// The values in a response.
    pub response: Tree<Leaf>,
    /// The names at a pointer to [`Fact::Kind`].
    pub kinds: Vec<(&'static str, TextKind)>,
    /// The values in a request.
    pub request: Tree<RequestLeaf>,
    /// The number of pointers to the model of a request.
    pub models: usize,
    /// The top-level names of a request that mark [`super::RequestShape::completes`].
    pub completes: Vec<&'static str>,
    /// The first bytes of a last event's data.
    pub ends_of_stream: Vec<&'static [u8]>,
}

/// A pointer to a count that an operator added, and its meaning.
pub type OwnCount = (String, Field);

impl Dialects {
    /// Merges the dialects of a table.
    pub fn of(table: &[&'static Dialect]) -> Self {
        Self::with(&[], table)
    }

    /// Merges the dialects of a table with counts that come before theirs.
    pub fn with(own: &[OwnCount], table: &[&'static Dialect]) -> Self {
        Self {
            response: Tree::of(leaves(own, table)),
            kinds: distinct(table.iter().flat_map(|d| d.kinds).copied()),
            request: Tree::of(request_leaves(table)),
            models: 0,
            completes: distinct(table.iter().flat_map(|d| d.request.completes).copied()),
            ends_of_stream: distinct(table.iter().filter_map(|d| d.end_of_stream)),
        }
    }

    /// Adds a pointer to the model of a request; false where the reader looks for something else.
    pub fn add_model(&mut self, pointer: &str) -> bool {
        let at = self.models;
        self.models = at.saturating_add(1);
        // Some upstreams ignore the case of names.
        self.request
            .insert_other_cases(pointer, RequestLeaf::ModelInOtherCase(at));
        self.request.insert(pointer, RequestLeaf::Model(at))
    }

    /// Returns the kind of a text by its name.
    pub fn kind(&self, name: &[u8]) -> Option<TextKind> {
        let kind = self.kinds.iter().find(|(n, _)| n.as_bytes() == name);
        kind.map(|(_, kind)| *kind)
    }
}

fn leaves(own: &[OwnCount], table: &[&'static Dialect]) -> Vec<(String, Leaf)> {
    let shapes = || table.iter().flat_map(|dialect| dialect.usage);
    let ranks = distinct(
        shapes()
            .flat_map(|shape| shape.counts)
            .map(|(name, _)| *name),
    );
    let rank_of = |name: &str| {
        let at = ranks.iter().position(|known| *known == name);
        // An operator's counts have rank 0.
        at.and_then(|at| u8::try_from(at.saturating_add(1)).ok())
            .unwrap_or(u8::MAX)
    };
    let mut leaves = Vec::new();
    for (pointer, field) in own {
        let leaf = Leaf::Count {
            field: *field,
            rank: 0,
            is_early: false,
        };
        leaves.push((pointer.clone(), leaf));
    }
    for UsageShape {
        at,
        counts,
        parts,
        is_early,
    } in shapes()
    {
        for at in *at {
            for (pointer, field) in *counts {
                let leaf = Leaf::Count {
                    field: *field,
                    rank: rank_of(pointer),
                    is_early: *is_early,
                };
                leaves.push((format!("{at}{pointer}"), leaf));
            }
            for (pointer, field) in *parts {
                leaves.push((format!("{at}{pointer}"), Leaf::Part(*field)));
            }
        }
    }
    let facts = table.iter().flat_map(|dialect| dialect.facts);
    leaves.extend(facts.map(|(pointer, fact)| ((*pointer).to_owned(), Leaf::Fact(*fact))));
    leaves
}

fn request_leaves(table: &[&'static Dialect]) -> Vec<(String, RequestLeaf)> {
    let mut leaves = Vec::new();
    for RequestShape {
        completion,
        choices,
        prompts,
        media,
        completes: _,
    } in table.iter().map(|dialect| &dialect.request)
    {
        for (pointers, leaf) in [
            (completion, RequestLeaf::Completion),
            (choices, RequestLeaf::Choices),
            (prompts, RequestLeaf::PromptList),
        ] {
            leaves.extend(pointers.iter().map(|pointer| ((*pointer).to_owned(), leaf)));
        }
        let prompts = prompts.iter();
        leaves.extend(prompts.map(|at| (format!("{at}/*"), RequestLeaf::Prompt)));
        let media = media.iter();
        leaves.extend(media.map(|(at, form)| ((*at).to_owned(), RequestLeaf::Media(*form))));
    }
    leaves
}

fn distinct<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut once = Vec::new();
    for item in all {
        if !once.contains(&item) {
            once.push(item);
        }
    }
    once
}
