//! JSON Schema of values that read themselves, for editors. The module has none of it.

use super::values::{Count, Duration};
use super::{Named, Object};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;

/// Gives a type the JSON Schema that is written beside it.
macro_rules! has_schema {
    ($type:ty, $name:literal, $($schema:tt)+) => {
        impl schemars::JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!($($schema)+)
            }
        }
    };
}

pub(crate) use has_schema;

has_schema!(Count, "Count", {"type": "integer", "minimum": 0});
has_schema!(Duration, "Duration", {
    "type": "string",
    "pattern": "^[0-9]+(ms|s|m|h|d)$",
    "examples": ["250ms", "5s", "1m", "24h", "7d"]
});

has_schema!(crate::zone::Zone, "Zone", {
    "type": "string",
    "examples": ["+00:00", "+08:00", "America/Los_Angeles"]
});

impl<T: JsonSchema> JsonSchema for Object<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl<T: JsonSchema> JsonSchema for Named<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("NamedOf{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let of = generator.subschema_for::<T>();
        json_schema!({"type": "object", "additionalProperties": of})
    }
}
