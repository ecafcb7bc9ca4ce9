//! YAML documents as trees with places.

use super::scalars::ScalarRules;
use super::tree::{DocNode, DocValue, Member};
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The maximum depth of a value.
const MOST_DEPTH: usize = 128;
/// The maximum number of values of a file, aliases followed.
const MOST_VALUES: usize = 500_000;

/// Text that is no YAML.
pub struct NotYaml {
    /// The byte of the text where it ends to be YAML.
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
            let problem = "too deep, or too many values".to_owned();
            return Err(NotYaml { at: start, problem });
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
                let mut members = Vec::new();
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
                if self.rules == ScalarRules::Kubernetes {
                    merge(&mut members);
                }
                DocValue::Map(members)
            }
            Event::Alias(id) => {
                let aliased = self
                    .anchors
                    .get(&id)
                    .map(|node| (count(node), node.value.clone()));
                let (count, value) = aliased.unwrap_or((0, DocValue::Null));
                self.values = self.values.saturating_add(count);
                value
            }
            _ => DocValue::Null,
        };
        let node = DocNode::new(start..end.max(start), value);
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn member(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Member, NotYaml> {
        let name = match &event {
            Event::Scalar(text, ..) => text.to_string(),
            _ => String::new(),
        };
        let name_at = self.value_of(event, span, depth)?.at;
        Ok(Member {
            name,
            name_at,
            value: self.value(depth)?,
        })
    }
}

fn count(node: &DocNode) -> usize {
    let members = node.members().iter().map(|member| count(&member.value));
    let parts = members.chain(node.elements().iter().map(count));
    parts.fold(1, usize::saturating_add)
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

/// Adds the members of the objects under the merge key that an object does not have itself
/// (<https://yaml.org/type/merge.html>).
fn merge(members: &mut Vec<Member>) {
    let Some(at) = members.iter().position(|member| member.name == "<<") else {
        return;
    };
    let merged = members.remove(at).value;
    let single = std::iter::once(&merged).filter(|node| node.elements().is_empty());
    for other in single.chain(merged.elements()).flat_map(DocNode::members) {
        if members.iter().all(|member| member.name != other.name) {
            members.push(other.clone());
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
