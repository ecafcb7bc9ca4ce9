//! YAML documents as trees with places.

use super::scalars::ScalarRules;
use super::tree::{DocNode, DocValue, Member};
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

/// The maximum depth of a value.
const MOST_DEPTH: usize = 128;
/// The maximum number of values of a file, aliases followed.
const MOST_VALUES: usize = 500_000;
/// The maximum number of bytes that aliases copy.
const MOST_COPIED: usize = 16 * 1024 * 1024;

/// Text that is no YAML.
pub struct NotYaml {
    /// The first byte that is not YAML.
    pub at: usize,
    pub problem: String,
}

/// Reads the documents of a YAML text, each as the program takes it that it is written for.
///
/// # Errors
/// [`NotYaml`] with the first place that is no YAML.
pub fn read(text: &str) -> Result<Vec<DocNode>, NotYaml> {
    let documents = read_by(text, &[])?;
    let rules: Vec<ScalarRules> = documents.iter().map(ScalarRules::of).collect();
    match rules.iter().all(|rules| *rules == ScalarRules::Core) {
        true => Ok(documents),
        false => read_by(text, &rules),
    }
}

/// Reads the documents by the rules of each; those of the core schema where none are given.
fn read_by(text: &str, rules: &[ScalarRules]) -> Result<Vec<DocNode>, NotYaml> {
    let mut bytes: Vec<usize> = text.char_indices().map(|(byte, _)| byte).collect();
    bytes.push(text.len());
    let mut reader = Reader {
        events: Parser::new_from_str(text),
        bytes,
        anchors: BTreeMap::new(),
        values: 0,
        copied: 0,
        rules: ScalarRules::Core,
    };
    let mut documents = Vec::new();
    loop {
        match reader.next()? {
            None => return Ok(documents),
            Some((Event::DocumentStart(_), _)) => {
                let of_this = rules.get(documents.len()).copied();
                reader.rules = of_this.unwrap_or(ScalarRules::Core);
                documents.push(reader.value(MOST_DEPTH)?);
            }
            Some(_) => {}
        }
    }
}

/// Returns what to do about a line that is no YAML.
pub fn remedy(line: &str) -> Option<&'static str> {
    if line.contains("{{") {
        return Some("a template must be rendered first, as by helm template");
    }
    if line.starts_with('\t') {
        return Some("indent by blanks: YAML has no tabs there");
    }
    line.contains('\\')
        .then_some("put it in single quotes: a backslash in double quotes begins an escape")
}

struct Reader<'a> {
    events: Parser<'a, StrInput<'a>>,
    /// The byte of each character.
    bytes: Vec<usize>,
    anchors: BTreeMap<usize, DocNode>,
    values: usize,
    /// The bytes that aliases have copied.
    copied: usize,
    rules: ScalarRules,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, NotYaml> {
        let event = self.events.next_event().transpose();
        event.map_err(|error| self.not_yaml(&error))
    }

    fn not_yaml(&self, error: &ScanError) -> NotYaml {
        NotYaml {
            at: self.byte(error.marker().index()),
            problem: error.info().to_owned(),
        }
    }

    fn byte(&self, character: usize) -> usize {
        let last = self.bytes.last().copied().unwrap_or(0);
        self.bytes.get(character).copied().unwrap_or(last)
    }

    /// Reads the value that begins with the next event.
    fn value(&mut self, depth: usize) -> Result<DocNode, NotYaml> {
        match self.next()? {
            Some((event, span)) => self.value_of(event, span, depth),
            None => Ok(DocNode::new(0..0, DocValue::Null)),
        }
    }

    fn value_of(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<DocNode, NotYaml> {
        let (start, mut end) = (self.byte(span.start.index()), self.byte(span.end.index()));
        self.values = self.values.saturating_add(1);
        let Some(depth) = depth.checked_sub(1).filter(|_| self.values < MOST_VALUES) else {
            return Err(too_large(start));
        };
        let mut anchor = 0;
        let value = match event {
            Event::Scalar(text, style, id, tag) => {
                anchor = id;
                scalar(&text, style, tag.as_ref(), self.rules)
            }
            Event::SequenceStart(id, _) => {
                anchor = id;
                let mut elements = Vec::new();
                loop {
                    match self.next()? {
                        None => break,
                        Some((Event::SequenceEnd, last)) => {
                            end = self.byte(last.end.index());
                            break;
                        }
                        Some((event, span)) => elements.push(self.value_of(event, span, depth)?),
                    }
                }
                DocValue::List(elements)
            }
            Event::MappingStart(id, _) => {
                anchor = id;
                let mut members: Vec<(Member, bool)> = Vec::new();
                loop {
                    match self.next()? {
                        None => break,
                        Some((Event::MappingEnd, last)) => {
                            end = self.byte(last.end.index());
                            break;
                        }
                        Some((event, span)) => members.push(self.member(event, span, depth)?),
                    }
                }
                DocValue::Map(Merged::of(members))
            }
            Event::Alias(id) => {
                let aliased = self.anchors.get(&id);
                let (values, bytes) = aliased.map_or((0, 0), size);
                self.values = self.values.saturating_add(values);
                self.copied = self.copied.saturating_add(bytes);
                if self.values >= MOST_VALUES || self.copied > MOST_COPIED {
                    return Err(too_large(start));
                }
                aliased.map_or(DocValue::Null, |node| node.value.clone())
            }
            _ => DocValue::Null,
        };
        let node = DocNode::new(start..end.max(start), value);
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    /// Reads a member, and whether it merges.
    fn member(
        &mut self,
        event: Event<'a>,
        span: Span,
        depth: usize,
    ) -> Result<(Member, bool), NotYaml> {
        let (name, is_plain) = match &event {
            Event::Scalar(text, style, ..) => (text.to_string(), *style == ScalarStyle::Plain),
            _ => (String::new(), false),
        };
        let is_merge = self.rules == ScalarRules::Kubernetes && is_plain && name == "<<";
        let name_at = self.value_of(event, span, depth)?.at;
        let member = Member {
            name,
            name_at,
            value: self.value(depth)?,
        };
        Ok((member, is_merge))
    }
}

fn too_large(at: usize) -> NotYaml {
    let problem = "too deep, or too many values, aliases followed".to_owned();
    NotYaml { at, problem }
}

/// Returns the number of values of a node, and the bytes of its texts and names.
fn size(node: &DocNode) -> (usize, usize) {
    let own = node.text().map_or(0, str::len);
    let members = node.members().iter().map(|member| {
        let (values, bytes) = size(&member.value);
        (values, bytes.saturating_add(member.name.len()))
    });
    let parts = members.chain(node.elements().iter().map(size));
    parts.fold((1, own), |(values, bytes), (more, of_more)| {
        (values.saturating_add(more), bytes.saturating_add(of_more))
    })
}

/// Reads a scalar: one in quotes, or with the tag of a string, is a text.
fn scalar(
    text: &str,
    style: ScalarStyle,
    tag: Option<&Cow<'_, Tag>>,
    rules: ScalarRules,
) -> DocValue {
    let is_string = tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
    match style == ScalarStyle::Plain && !is_string {
        true => rules.read(text),
        false => DocValue::Text(text.to_owned()),
    }
}

/// The members of an object, merged as go-yaml 2 does: in the order of the text. So what stands under
/// `<<` replaces what stood before it, and what stands after it replaces that. Of a list, the first
/// object wins.
#[derive(Default)]
struct Merged {
    members: Vec<Member>,
    /// The place of each name, and whether a merge brought it.
    places: HashMap<String, (usize, bool)>,
}

impl Merged {
    fn of(written: Vec<(Member, bool)>) -> Vec<Member> {
        let mut merged = Self::default();
        for (member, is_merge) in written {
            if !is_merge {
                merged.put(member, false);
                continue;
            }
            let value = member.value;
            let single = std::iter::once(&value).filter(|node| node.elements().is_empty());
            let objects = value.elements().iter().rev().chain(single);
            for member in objects.flat_map(DocNode::members) {
                merged.put(member.clone(), true);
            }
        }
        merged.members
    }

    /// Adds a member. A name that is written twice stays twice, as an error.
    fn put(&mut self, member: Member, is_merged: bool) {
        let place = self.places.get(&member.name).copied();
        let at = match place {
            Some((at, was_merged)) if is_merged || was_merged => at,
            _ => self.members.len(),
        };
        self.places.insert(member.name.clone(), (at, is_merged));
        match self.members.get_mut(at) {
            Some(before) => *before = member,
            None => self.members.push(member),
        }
    }
}

/// Returns the byte of the file for each byte of a text that stands in it as a scalar, and for its end.
///
/// The text is JSON, so white space has no meaning: of all else, each character of the text is found
/// again in the scalar, behind its indentation, folds and escapes.
pub fn places_within(file: &str, scalar: &DocNode, text: &str) -> Vec<usize> {
    let start = scalar.at.start;
    let source = file.get(scalar.at.clone()).unwrap_or_default();
    let mut written = source.char_indices();
    let mut places = Vec::with_capacity(text.len().saturating_add(1));
    let mut last = start;
    for c in text.chars() {
        if !c.is_whitespace() {
            let found = written.find(|(_, other)| *other == c);
            last = found.map_or(last, |(byte, _)| start.saturating_add(byte));
        }
        for at in 0..c.len_utf8() {
            places.push(last.saturating_add(at));
        }
    }
    places.push(last.saturating_add(1).min(file.len()));
    places
}
