//! Families of models, and the sources of a request's model, in the config.

use super::path::PathTemplate;
use super::source::ModelSource;
use super::{Families, Family, UnknownModel};
use crate::http::names::{property_path, request_header};
use crate::json::values::Count;
use crate::json::{Invalid, Object, in_range, plain_name};
use crate::limits::record::FamilyKey;
use crate::tokens::config::MOST_TOKENS;
use crate::tokens::dialect::Dialects;
use crate::tokens::places::check_pointer;
use crate::tokens::rates::{PricesConfig, Weights, WeightsConfig};
use crate::tokens::scan::names;
use serde::Deserialize;
use std::sync::Arc;
use wildmatch::WildMatch;

/// The maximum number of families.
pub const MOST_FAMILIES: usize = 32;
/// The maximum number of patterns of a family.
const MOST_PATTERNS: usize = 16;
/// The longest pattern, in bytes.
const LONGEST_PATTERN: usize = 64;
/// The maximum number of sources.
pub const MOST_SOURCES: usize = 8;

/// A family as written in the config.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct FamilyConfig {
    /// The name: 1 to 64 of `A-Z a-z 0-9 _ -`.
    name: String,
    /// 1 to 16 globs of model names, which ignore case.
    #[cfg_attr(feature = "cli", schemars(length(min = 1, max = MOST_PATTERNS)))]
    r#match: Vec<String>,
    /// The weights of its tokens, over those of `tokens.weights`.
    weights: Option<Object<WeightsConfig>>,
    /// The price of a million of its tokens, in USD.
    price: Option<Object<PricesConfig>>,
    /// The completion tokens of a request that states none.
    #[cfg_attr(feature = "cli", schemars(range(min = 0, max = MOST_TOKENS)))]
    completion: Option<Count>,
}

/// A source as written in the config: exactly one of the fields.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ModelSourceConfig {
    /// The field of the request body: `model`. Needs `tokens.read_body`.
    body: Option<String>,
    /// The name of a request header.
    header: Option<String>,
    /// The path of an Envoy attribute.
    property: Option<Vec<String>>,
    /// A path with `{model}` for one segment, such as `/v1beta/models/{model}:*`.
    path: Option<String>,
}

/// Checks the families. `weights` are those of a family that has none of its own.
///
/// # Errors
/// [`Invalid`] for the first invalid family, or for too many.
pub fn families(
    written: Option<Vec<Object<FamilyConfig>>>,
    weights: &Weights,
) -> Result<Families, Invalid> {
    let written = written.unwrap_or_default();
    if written.len() > MOST_FAMILIES {
        let problem = format!(
            "{} families: at most {MOST_FAMILIES} are allowed",
            written.len()
        );
        return Err(Invalid::new("models", problem));
    }
    let mut families: Vec<Family> = Vec::with_capacity(written.len());
    for (i, Object(one)) in written.into_iter().enumerate() {
        let family = family(&format!("models[{i}]"), one, weights, &families)?;
        families.push(family);
    }
    Ok(Families(families))
}

/// Checks one family; `before` are the families before it.
fn family(
    path: &str,
    written: FamilyConfig,
    weights: &Weights,
    before: &[Family],
) -> Result<Family, Invalid> {
    let name_path = format!("{path}.name");
    let name = written.name;
    plain_name(&name_path, &name)?;
    if name == "share" || name == "refuse" {
        let problem = format!("{name:?} has a meaning of its own: choose another");
        return Err(Invalid::new(name_path, problem));
    }
    if before.iter().any(|other| other.name == name) {
        let problem = format!("there is a family {name:?} already");
        return Err(Invalid::new(name_path, problem));
    }
    let key = FamilyKey::of(&name);
    if let Some(other) = before
        .iter()
        .find(|other| FamilyKey::of(&other.name) == key)
    {
        let problem = format!("{name:?} and {:?} have one key: choose another", other.name);
        return Err(Invalid::new(name_path, problem));
    }
    let completion = |Count(n)| in_range(&format!("{path}.completion"), n, 0..=MOST_TOKENS);
    Ok(Family {
        patterns: patterns(&format!("{path}.match"), &written.r#match)?,
        weights: written
            .weights
            .map_or(*weights, |Object(own)| own.over(weights)),
        prices: written.price.map(|Object(price)| price.prices()),
        completion: written.completion.map(completion).transpose()?,
        name,
    })
}

fn patterns(path: &str, written: &[String]) -> Result<Vec<WildMatch>, Invalid> {
    if !(1..=MOST_PATTERNS).contains(&written.len()) {
        let problem = format!(
            "{} patterns: 1 to {MOST_PATTERNS} are allowed",
            written.len()
        );
        return Err(Invalid::new(path, problem));
    }
    let pattern = |(i, glob): (usize, &String)| match (1..=LONGEST_PATTERN).contains(&glob.len()) {
        true => Ok(WildMatch::new(&glob.to_ascii_lowercase())),
        false => {
            let problem = format!("{} bytes: 1 to {LONGEST_PATTERN} are allowed", glob.len());
            Err(Invalid::new(format!("{path}[{i}]"), problem))
        }
    };
    written.iter().enumerate().map(pattern).collect()
}

/// Checks the sources of the model, which families need and nothing else does.
///
/// Adds the pointers into the body to what its reader looks for. `reads_body`: it is read.
///
/// # Errors
/// [`Invalid`] for the first invalid source; for families without a source, and sources without a
/// family.
pub fn sources(
    written: Option<Vec<Object<ModelSourceConfig>>>,
    families: &Families,
    reads_body: bool,
    dialects: &mut Arc<Dialects>,
) -> Result<Vec<ModelSource>, Invalid> {
    let written = written.unwrap_or_default();
    let problem = match (written.len(), families.is_empty()) {
        (0, true) => return Ok(Vec::new()),
        (0, false) => "models needs a source of the model, such as {\"header\": \"x-model\"}",
        (_, true) => "there is no family in models that it could choose",
        (1..=MOST_SOURCES, false) => {
            let mut sources = Vec::with_capacity(written.len());
            for (i, Object(one)) in written.into_iter().enumerate() {
                let path = format!("model[{i}]");
                let source = source(&path, one)?;
                if let ModelSource::Body(pointer) = &source {
                    read_in_body(pointer, reads_body, dialects)
                        .map_err(|problem| Invalid::new(format!("{path}.body"), problem))?;
                }
                sources.push(source);
            }
            return Ok(sources);
        }
        _ => "at most 8 sources are allowed",
    };
    Err(Invalid::new("model", problem))
}

/// Makes the reader of bodies look for the model at a pointer.
fn read_in_body(
    pointer: &str,
    reads_body: bool,
    dialects: &mut Arc<Dialects>,
) -> Result<(), &'static str> {
    if !reads_body {
        return Err("needs \"read_body\": true in tokens, since the body is not read otherwise");
    }
    check_pointer(pointer)?;
    if names(pointer).any(|name| name == "*") {
        return Err("is one place: * is not allowed");
    }
    match Arc::make_mut(dialects).add_model(pointer) {
        true => Ok(()),
        false => Err("names a place that has another meaning, or that another source names"),
    }
}

/// Returns the pointer of a name; a pointer stays as it is.
fn body_pointer(written: String) -> String {
    match written.starts_with('/') {
        true => written,
        false => format!("/{}", written.replace('~', "~0").replace('/', "~1")),
    }
}

fn source(path: &str, written: ModelSourceConfig) -> Result<ModelSource, Invalid> {
    match (written.body, written.header, written.property, written.path) {
        (Some(place), None, None, None) => Ok(ModelSource::Body(body_pointer(place))),
        (None, Some(name), None, None) => {
            let name = request_header(&format!("{path}.header"), &name)?;
            Ok(ModelSource::Header(name))
        }
        (None, None, Some(segments), None) => {
            let segments = property_path(&format!("{path}.property"), segments)?;
            Ok(ModelSource::Property(segments))
        }
        (None, None, None, Some(text)) => {
            let template = PathTemplate::parse(&text).map(ModelSource::Path);
            template.ok_or_else(|| {
                let problem = format!(
                    "{text:?} is no template: a path with {{model}} at the start of a segment, and \
                     * for a whole segment or at the end, such as \"/v1beta/models/{{model}}:*\""
                );
                Invalid::new(format!("{path}.path"), problem)
            })
        }
        _ => Err(Invalid::new(
            path,
            "a source names exactly one place: body, header, property or path",
        )),
    }
}

/// Checks the rule for requests whose model is not known; the default is "share".
///
/// # Errors
/// [`Invalid`] for a name that is no family, and where there are no families.
pub fn unknown_model(written: Option<&str>, families: &Families) -> Result<UnknownModel, Invalid> {
    let problem = match written {
        None | Some("share") => return Ok(UnknownModel::Share),
        Some(_) if families.is_empty() => "there are no families in models".to_owned(),
        Some("refuse") => return Ok(UnknownModel::Refuse),
        Some(name) => match families.by_name(name) {
            Some(id) => return Ok(UnknownModel::Family(id)),
            None => format!("{name:?} is neither \"share\" nor \"refuse\" nor a family in models"),
        },
    };
    Err(Invalid::new("unknown_model", problem))
}
