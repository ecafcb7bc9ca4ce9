//! The config inside the resource that holds it: in an Any of Envoy's, or a field of Istio's or Envoy
//! Gateway's.

use super::find::is_field;
use super::json_text::{self, NotJson, moved};
use super::source::SourceFile;
use super::tree::{Bytes, DocNode, DocValue, Member};
use super::yaml;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use tiergate::json::nearest;

/// The config of a holder.
pub enum Body {
    /// The file has no config, so every default holds.
    Absent,
    /// A value of the document, whose scalars its reader has taken by rules of its own.
    Tree(DocNode),
    /// The value of a JSON text, or of a file that is the config alone.
    Json(DocNode),
    /// A text that is no JSON.
    NotJson(NotJson),
    /// The config stands where nothing reads it.
    Misplaced(Misplaced),
}

/// A field by which a config misses its reader.
pub struct Misplaced {
    pub at: Bytes,
    pub path: String,
    pub problem: String,
    pub remedy: String,
}

impl Misplaced {
    /// A filter of an EnvoyExtensionPolicy that does not stand in a list.
    pub fn no_list(at: &Bytes) -> Self {
        Self {
            at: at.clone(),
            path: "wasm".to_owned(),
            problem: "wasm is an object, and a list of filters is asked for".to_owned(),
            remedy: "begin the filter with a dash".to_owned(),
        }
    }

    fn body(at: &Bytes, path: &str, problem: String, remedy: &str) -> Body {
        Body::Misplaced(Self {
            at: at.clone(),
            path: path.to_owned(),
            problem,
            remedy: remedy.to_owned(),
        })
    }
}

/// The form of the config of a filter of Envoy's.
const AS_TEXT: &str = "write {\"@type\": type.googleapis.com/google.protobuf.StringValue, value: \
                       the config as JSON text}";

/// Reads `configuration` of a wasm filter of Envoy's.
pub fn of_filter(source: &SourceFile, plugin: &DocNode) -> Body {
    let Some(any) = plugin.get("configuration") else {
        return misspelt(plugin, "configuration").unwrap_or(Body::Absent);
    };
    if matches!(any.value, DocValue::Null) {
        return Body::Absent;
    }
    let wrong =
        |at: &Bytes, problem: String| Misplaced::body(at, "configuration", problem, AS_TEXT);
    let Some(kind) = any.get("@type").and_then(DocNode::text) else {
        return wrong(&any.at, "configuration has no @type".to_owned());
    };
    let kind = kind.rsplit('/').next().unwrap_or_default();
    let Some(value) = any.get("value") else {
        let at = any.members().iter().find(|member| member.name != "@type");
        return match (misspelt(any, "value"), at) {
            (Some(body), _) => body,
            (None, Some(member)) => wrong(&member.name_at, "configuration has no value".to_owned()),
            (None, None) => Body::Absent,
        };
    };
    match (kind, &value.value) {
        ("google.protobuf.StringValue", DocValue::Text(text)) => within(source, value, text),
        ("google.protobuf.StringValue", _) => {
            wrong(&value.at, "the value of a StringValue is a text".to_owned())
        }
        ("google.protobuf.Struct", DocValue::Map(_)) => Body::Tree(value.clone()),
        ("google.protobuf.Struct", _) => {
            wrong(&value.at, "the value of a Struct is an object".to_owned())
        }
        ("google.protobuf.BytesValue", DocValue::Text(text)) => of_base64(value, text),
        _ => wrong(&any.at, format!("the filter can't read {kind}")),
    }
}

/// Reads the config in a field of a resource's holder, which may stand elsewhere in the resource.
pub fn of_resource(resource: &DocNode, holder: &DocNode, name: &str) -> Body {
    if let Some(config) = holder.get(name) {
        // Kubernetes takes null for an absent field.
        return match config.value {
            DocValue::Null => Body::Absent,
            _ => Body::Tree(config.clone()),
        };
    }
    if let Some(body) = misspelt(holder, name) {
        return body;
    }
    let spec = resource.get("spec");
    let others = [Some(resource), resource.get("metadata"), spec];
    let elsewhere = others.into_iter().flatten();
    let mut found = elsewhere.filter_map(|other| member(other, &[name]));
    if let Some(found) = found.next() {
        let problem = format!("{name} stands where nothing reads it");
        let remedy = "move it beside url, by its indentation";
        return Misplaced::body(&found.name_at, name, problem, remedy);
    }
    let mut members = holder.members().iter();
    match members.find(|member| is_field(&member.name)) {
        None => Body::Absent,
        Some(field) => {
            let problem = format!("{} stands beside {name}, and not in it", field.name);
            let remedy = format!("move it and its like into {name}");
            Misplaced::body(&field.name_at, &field.name, problem, &remedy)
        }
    }
}

/// A member whose name is nearly this one.
fn misspelt(holder: &DocNode, name: &str) -> Option<Body> {
    let mut members = holder.members().iter();
    let near = members.find(|member| nearest(&member.name, [name]).is_some())?;
    let problem = format!("unknown field `{}`", near.name);
    let remedy = format!("did you mean `{name}`?");
    Some(Misplaced::body(&near.name_at, &near.name, problem, &remedy))
}

/// Returns the first member with one of these names.
pub fn member<'a>(node: &'a DocNode, names: &[&str]) -> Option<&'a Member> {
    let mut members = node.members().iter();
    members.find(|member| names.contains(&&*member.name))
}

/// Reads a JSON text that stands in the file as a scalar.
fn within(source: &SourceFile, scalar: &DocNode, text: &str) -> Body {
    if text.trim().is_empty() {
        return Body::Absent;
    }
    let places = yaml::places_within(&source.text, scalar, text);
    let place = |byte: usize| places.get(byte).copied().unwrap_or(scalar.at.end);
    match json_text::read(text) {
        Ok(node) => Body::Json(moved(node, &|at: &Bytes| {
            let last = place(at.end.saturating_sub(1));
            place(at.start)..last.saturating_add(1)
        })),
        Err(error) => Body::NotJson(NotJson {
            at: place(error.at),
            ..error
        }),
    }
}

/// Reads a JSON text in base64: all of it stands at one place.
fn of_base64(scalar: &DocNode, text: &str) -> Body {
    // Protobuf's JSON takes both alphabets, with padding or without.
    let plain = text
        .trim_end_matches('=')
        .replace('-', "+")
        .replace('_', "/");
    let decoded = STANDARD_NO_PAD.decode(plain).ok();
    let Some(json) = decoded.and_then(|bytes| String::from_utf8(bytes).ok()) else {
        let problem = "the value of a BytesValue is a text in base64".to_owned();
        return Misplaced::body(&scalar.at, "configuration", problem, AS_TEXT);
    };
    if json.trim().is_empty() {
        return Body::Absent;
    }
    match json_text::read(&json) {
        Ok(node) => Body::Json(moved(node, &|_: &Bytes| scalar.at.clone())),
        Err(error) => Body::NotJson(NotJson {
            at: scalar.at.start,
            ..error
        }),
    }
}
