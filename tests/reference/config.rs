//! docs/reference/config.md, from the JSON Schema of the config.

use super::{assert_page, head, row};
use serde_json::{Map, Value};
use tiergate::config::json_schema::json_schema;

const HEAD: &str = "\
# Config fields

`make reference` writes this page from the [JSON Schema](../tiergate.schema.json), and so from the
types that the filter reads. [Configuration](../configuration.md) explains the fields, and has the
rules that stand between them. A duration is digits and a unit: `250ms`, `5s`, `1m`, `24h` or `7d`.
A field of any other name is refused.
";

/// The pattern of a duration.
const DURATION: &str = "^[0-9]+(ms|s|m|h|d)$";

/// An object of the config, with a table of its fields.
struct Section {
    /// The path of its first place, such as `tiers[].limits`; empty for the whole config.
    title: String,
    /// Its other places.
    also: Vec<String>,
    schema: Value,
}

struct Page {
    root: Value,
    sections: Vec<Section>,
}

#[test]
fn the_fields_are_those_of_the_schema() {
    let root = json_schema();
    let mut page = Page {
        root: root.clone(),
        sections: Vec::new(),
    };
    page.find(&root, "");
    let text = HEAD.to_owned() + &page.text();
    let defined = root["$defs"].as_object().unwrap().values();
    for definition in defined.filter_map(|it| it["properties"].as_object()) {
        for name in definition.keys() {
            assert!(text.contains(&format!("`{name}`")), "{name}");
        }
    }
    assert_page("config.md", &text);
}

impl Page {
    /// The definition that a schema refers to, or the schema itself.
    fn resolved(&self, schema: &Value) -> Value {
        match schema["$ref"].as_str() {
            Some(reference) => {
                let pointer = reference.strip_prefix('#').unwrap();
                self.root.pointer(pointer).unwrap().clone()
            }
            None => schema.clone(),
        }
    }

    /// Adds a section for each object with fields within a schema, depth first.
    fn find(&mut self, schema: &Value, path: &str) {
        let schema = self.resolved(schema);
        for choice in choices(&schema) {
            self.find(choice, path);
        }
        if let Some(items) = schema.get("items") {
            self.find(items, &format!("{path}[]"));
        }
        let others = &schema["additionalProperties"];
        if others.is_object() {
            self.find(others, &format!("{path}.NAME"));
        }
        let Some(fields) = schema["properties"].as_object() else {
            return;
        };
        if let Some(known) = self
            .sections
            .iter_mut()
            .find(|known| known.schema == schema)
        {
            let path = path.to_owned();
            if known.title != path && !known.also.contains(&path) {
                known.also.push(path);
            }
            return;
        }
        self.sections.push(Section {
            title: path.to_owned(),
            also: Vec::new(),
            schema: schema.clone(),
        });
        for (name, field) in fields {
            let dot = if path.is_empty() { "" } else { "." };
            let name = if others.is_object() { "NAME" } else { name };
            self.find(field, &format!("{path}{dot}{name}"));
        }
    }

    fn text(&self) -> String {
        self.sections.iter().map(|it| self.section(it)).collect()
    }

    fn section(&self, section: &Section) -> String {
        let mut text = match section.title.as_str() {
            "" => "\n## The config\n".to_owned(),
            title => format!("\n## `{title}`\n"),
        };
        let about = section.schema["description"].as_str();
        if let Some(about) = about.filter(|_| !section.title.is_empty()) {
            text.push_str(&format!("\n{about}\n"));
        }
        let also: Vec<_> = section
            .also
            .iter()
            .map(|path| format!("`{path}`"))
            .collect();
        if !also.is_empty() {
            text.push_str(&format!("\nThe same fields: {}.\n", also.join(", ")));
        }
        text.push('\n');
        text.push_str(&head(&["field", "type", "default", "meaning"]));
        let needed = section.schema["required"].as_array();
        let is_needed = |name: &String| needed.is_some_and(|all| all.iter().any(|it| it == name));
        // Fields of which the same is said have one row.
        let mut rows: Vec<(Vec<String>, [String; 3])> = Vec::new();
        for (name, field) in section.schema["properties"].as_object().unwrap() {
            let default = match field.get("default") {
                // With blanks, where a line of a narrow table can end.
                Some(default) => {
                    let text = default.to_string().replace("\":", "\": ");
                    format!("`{}`", text.replace(",\"", ", \"").replace(",{", ", {"))
                }
                None if is_needed(name) => "required".to_owned(),
                None => String::new(),
            };
            let said = [one_of(&self.kinds(field)), default, self.meaning(field)];
            let name = format!("`{name}`");
            match rows.iter_mut().find(|(_, known)| *known == said) {
                Some((names, _)) => names.push(name),
                None => rows.push((vec![name], said)),
            }
        }
        let others = &section.schema["additionalProperties"];
        if others.is_object() {
            let said = [
                one_of(&self.kinds(others)),
                String::new(),
                self.meaning(others),
            ];
            rows.push((vec!["any other name".to_owned()], said));
        }
        for (names, [kind, default, meaning]) in rows {
            text.push_str(&row(&[&names.join(", "), &kind, &default, &meaning]));
        }
        text
    }

    /// The types that a field takes, in words, each once.
    fn kinds(&self, schema: &Value) -> Vec<String> {
        let schema = self.resolved(schema);
        let mut kinds: Vec<String> = Vec::new();
        for kind in choices(&schema).flat_map(|choice| self.kinds(choice)) {
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        if !kinds.is_empty() {
            return kinds;
        }
        if let Some(word) = schema.get("const") {
            return vec![format!("`{word}`")];
        }
        if let Some(words) = schema["enum"].as_array() {
            return words.iter().map(|word| format!("`{word}`")).collect();
        }
        let kind = match &schema["type"] {
            Value::Array(types) => types[0].as_str().unwrap(),
            Value::String(kind) => kind,
            _ if schema.get("pattern").is_some() => "string",
            _ => panic!("no type: {schema}"),
        };
        match kind {
            "null" => Vec::new(),
            "array" => vec![format!("list of {}", one_of(&self.kinds(&schema["items"])))],
            "object" => vec![self.object(&schema)],
            "string" => vec![match schema["pattern"].as_str() {
                Some(DURATION) => "duration".to_owned(),
                Some(_) => "number as a string".to_owned(),
                None => "string".to_owned(),
            }],
            "integer" | "number" => vec![kind.to_owned() + &range(&schema)],
            _ => vec![kind.to_owned()],
        }
    }

    /// An object: a link to its section, or the type of its values.
    fn object(&self, schema: &Value) -> String {
        match self.sections.iter().find(|known| known.schema == *schema) {
            Some(section) => format!("[object](#{})", anchor(&section.title)),
            None => {
                let values = one_of(&self.kinds(&schema["additionalProperties"]));
                format!("object of {values} by name")
            }
        }
    }

    /// The description of a field, and that of each word that it takes.
    fn meaning(&self, field: &Value) -> String {
        let resolved = self.resolved(field);
        let own = field["description"]
            .as_str()
            .or(resolved["description"].as_str());
        let mut meaning = own.unwrap_or_default().to_owned();
        self.add_words(field, &mut meaning);
        meaning
    }

    fn add_words(&self, schema: &Value, meaning: &mut String) {
        let schema = self.resolved(schema);
        for choice in choices(&schema) {
            let text = choice["description"].as_str().unwrap_or_default();
            if let Some(word) = choice.get("const").filter(|_| !text.is_empty()) {
                meaning.push_str(&format!("<br>`{word}`: {text}"));
            } else if choice.get("anyOf").is_some() {
                meaning.push_str(&format!(" {text}"));
            }
            self.add_words(choice, meaning);
        }
    }
}

/// The schemas of which a value matches one, without that of null.
fn choices(schema: &Value) -> impl Iterator<Item = &Value> {
    let lists = ["anyOf", "oneOf"].into_iter();
    let lists = lists.filter_map(|name| schema.as_object().and_then(|it| it.get(name)?.as_array()));
    lists.flatten().filter(|choice| choice["type"] != "null")
}

/// A list with "or" before its last.
fn one_of(kinds: &[String]) -> String {
    match kinds {
        [] => String::new(),
        [kind] => kind.clone(),
        [kinds @ .., last] => format!("{} or {last}", kinds.join(", ")),
    }
}

/// The allowed range of a number; none for one that is only not negative.
fn range(schema: &Value) -> String {
    let of = |name: &str| schema.as_object().and_then(|it: &Map<_, _>| it.get(name));
    match (of("minimum"), of("maximum"), of("exclusiveMinimum")) {
        (Some(least), Some(most), _) => format!(" from {least} to {most}"),
        (_, Some(most), Some(over)) => format!(" over {over} and up to {most}"),
        _ => String::new(),
    }
}

/// The anchor of a heading, as GitHub and mdBook make it.
fn anchor(title: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || *c == '_';
    title
        .chars()
        .filter(kept)
        .collect::<String>()
        .to_lowercase()
}
