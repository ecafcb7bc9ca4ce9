//! The sources of a request's model, in order.

use super::path::PathTemplate;
use crate::host::{Header, Request};
use crate::http::path::without_query;
use crate::tokens::request::ModelName;

/// A source of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelSource {
    /// The value at this JSON pointer in the request's body.
    Body(String),
    /// The request header of this lower-case name.
    Header(String),
    /// The Envoy property at this path.
    Property(Vec<String>),
    /// A segment of the request's path.
    Path(PathTemplate),
}

/// Finds the model of a request: the first source with a value decides.
///
/// A repeated header names none, as one of the values may be meant for another reader. Proxies join
/// repeats with a comma. `in_body` has the models at the pointers of [`ModelSource::Body`], in their
/// order; of a body that was not read it is empty.
pub fn find(request: &dyn Request, sources: &[ModelSource], in_body: &[ModelName]) -> ModelName {
    let mut in_body = in_body.iter();
    let found = sources.iter().map(|source| match source {
        ModelSource::Body(_) => in_body.next().cloned().unwrap_or_default(),
        ModelSource::Header(name) => match request.header(name) {
            Header::Absent => ModelName::Nothing,
            Header::Repeated => ModelName::Unreadable,
            Header::Once(value) => text(value),
        },
        ModelSource::Property(path) => {
            let value = request.property(path);
            value.map_or(ModelName::Nothing, |value| text(&value))
        }
        ModelSource::Path(template) => in_path(request, template),
    });
    let mut found = found.filter(|named| *named != ModelName::Nothing);
    found.next().unwrap_or(ModelName::Nothing)
}

fn text(value: &[u8]) -> ModelName {
    match str::from_utf8(value) {
        Ok("") => ModelName::Nothing,
        Ok(text) if !text.contains(',') => ModelName::Model(text.to_owned()),
        Ok(_) | Err(_) => ModelName::Unreadable,
    }
}

fn in_path(request: &dyn Request, template: &PathTemplate) -> ModelName {
    let Header::Once(path) = request.header(":path") else {
        return ModelName::Nothing;
    };
    match str::from_utf8(without_query(path)) {
        Ok(path) => template.read(path),
        Err(_) => ModelName::Unreadable,
    }
}
