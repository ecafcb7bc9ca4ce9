//! Plain scalars of YAML, as the program takes them that the file is written for.

use super::tree::{DocNode, DocValue};

/// The reader of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScalarRules {
    /// A config alone: the core schema of YAML 1.2.
    Core,
    /// Envoy (`source/common/protobuf/yaml_utility.cc`): booleans of YAML 1.1, whole numbers of 32
    /// bits, and texts for all other numbers.
    Envoy,
    /// Kubernetes (`sigs.k8s.io/yaml`): YAML 1.1, with its merge key.
    Kubernetes,
}

/// Members by which a document of Envoy's is known, wherever it is cut out of the whole.
pub const OF_ENVOY: [&str; 13] = [
    "static_resources",
    "staticResources",
    "dynamic_resources",
    "dynamicResources",
    "resources",
    "filter_chains",
    "filterChains",
    "http_filters",
    "httpFilters",
    "typed_config",
    "typedConfig",
    "vm_config",
    "vmConfig",
];

impl ScalarRules {
    /// Returns the rules of the program that reads a document.
    pub fn of(document: &DocNode) -> Self {
        if document.get("apiVersion").is_some() && document.get("kind").is_some() {
            return Self::Kubernetes;
        }
        let parts = std::iter::once(document).chain(document.elements());
        let mut members = parts.flat_map(DocNode::members);
        match members.any(|member| OF_ENVOY.contains(&&*member.name)) {
            true => Self::Envoy,
            false => Self::Core,
        }
    }

    /// Reads a scalar without quotes.
    pub fn read(self, text: &str) -> DocValue {
        if matches!(text, "" | "~" | "null" | "Null" | "NULL") {
            return DocValue::Null;
        }
        if let Some(bool) = self.bool(text) {
            return DocValue::Bool(bool);
        }
        let number = match self {
            Self::Core => core_number(text),
            Self::Envoy => envoy_number(text),
            Self::Kubernetes => kubernetes_number(text),
        };
        number.map_or_else(|| DocValue::Text(text.to_owned()), DocValue::Number)
    }

    fn bool(self, text: &str) -> Option<bool> {
        let lower = text.to_ascii_lowercase();
        let is_title = text.get(1..) == lower.get(1..);
        if !is_title && text != text.to_ascii_uppercase() {
            return None;
        }
        match lower.as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ if self == Self::Core => None,
            "y" | "yes" | "on" => Some(true),
            "n" | "no" | "off" => Some(false),
            _ => None,
        }
    }
}

/// Returns a number in JSON's notation.
fn core_number(text: &str) -> Option<String> {
    if serde_json::from_str::<serde_json::Number>(text).is_ok() {
        return Some(text.to_owned());
    }
    let whole = match text.starts_with("0x") || text.starts_with("0o") {
        true => by_prefix(text, &[("0x", 16), ("0o", 8)]),
        false => by_prefix(text, &[]),
    };
    whole.map(|n| n.to_string()).or_else(|| float(text))
}

fn float(text: &str) -> Option<String> {
    let is_decimal = |b: u8| b.is_ascii_digit() || b"+-.eE".contains(&b);
    if !text.bytes().any(|b| b.is_ascii_digit()) || !text.bytes().all(is_decimal) {
        return None;
    }
    let float: f64 = text.parse().ok()?;
    serde_json::Number::from_f64(float).map(|number| number.to_string())
}

/// A whole number of 32 bits, decimal, octal with a leading 0, or hexadecimal.
fn envoy_number(text: &str) -> Option<String> {
    let whole = i32::try_from(by_prefix(text, &[("0x", 16), ("0X", 16), ("0", 8)])?).ok()?;
    Some(whole.to_string())
}

fn kubernetes_number(text: &str) -> Option<String> {
    let plain = text.replace('_', "");
    let prefixes = [
        ("0x", 16),
        ("0X", 16),
        ("0o", 8),
        ("0O", 8),
        ("0b", 2),
        ("0B", 2),
        ("0", 8),
    ];
    let whole = by_prefix(&plain, &prefixes);
    let whole = whole.filter(|n| i64::try_from(*n).is_ok() || u64::try_from(*n).is_ok());
    whole.map(|n| n.to_string()).or_else(|| float(&plain))
}

/// Reads a whole number whose base is said by its prefix; "0" is one without.
fn by_prefix(text: &str, prefixes: &[(&str, u32)]) -> Option<i128> {
    let (sign, digits) = match (text.strip_prefix('-'), text.strip_prefix('+')) {
        (Some(digits), _) => ("-", digits),
        (None, Some(digits)) => ("", digits),
        (None, None) => ("", text),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let mut prefixes = prefixes.iter();
    let found = prefixes.find_map(|(prefix, base)| {
        let rest = digits.strip_prefix(prefix)?;
        (!rest.is_empty()).then_some((rest, *base))
    });
    let (digits, base) = found.unwrap_or((digits, 10));
    // A sign stands before the prefix alone.
    if !digits.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    i128::from_str_radix(&format!("{sign}{digits}"), base).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value in JSON's notation.
    fn read(rules: ScalarRules, text: &str) -> String {
        DocNode::new(0..0, rules.read(text)).json()
    }

    #[test]
    fn each_reader_has_its_own_booleans_and_numbers() {
        for (text, core, envoy, kubernetes) in [
            ("", "null", "null", "null"),
            ("~", "null", "null", "null"),
            ("true", "true", "true", "true"),
            ("TRUE", "true", "true", "true"),
            ("tRue", "\"tRue\"", "\"tRue\"", "\"tRue\""),
            ("yes", "\"yes\"", "true", "true"),
            ("Off", "\"Off\"", "false", "false"),
            ("n", "\"n\"", "false", "false"),
            ("5", "5", "5", "5"),
            ("+5", "5", "5", "5"),
            ("-5", "-5", "-5", "-5"),
            ("0", "0", "0", "0"),
            ("010", "10", "8", "8"),
            ("08", "8", "\"08\"", "8.0"),
            ("0x1F", "31", "31", "31"),
            ("0o17", "15", "\"0o17\"", "15"),
            ("0b101", "\"0b101\"", "\"0b101\"", "5"),
            ("1_000", "\"1_000\"", "\"1_000\"", "1000"),
            ("2147483647", "2147483647", "2147483647", "2147483647"),
            ("3000000000", "3000000000", "\"3000000000\"", "3000000000"),
            ("0.5", "0.5", "\"0.5\"", "0.5"),
            ("1e3", "1e3", "\"1e3\"", "1000.0"),
            ("60s", "\"60s\"", "\"60s\"", "\"60s\""),
            ("1.2.3", "\"1.2.3\"", "\"1.2.3\"", "\"1.2.3\""),
            ("-", "\"-\"", "\"-\"", "\"-\""),
            ("0-5", "\"0-5\"", "\"0-5\"", "\"0-5\""),
            ("0+5", "\"0+5\"", "\"0+5\"", "\"0+5\""),
            ("0x-5", "\"0x-5\"", "\"0x-5\"", "\"0x-5\""),
            ("++5", "\"++5\"", "\"++5\"", "\"++5\""),
            ("+-5", "\"+-5\"", "\"+-5\"", "\"+-5\""),
            (
                "18446744073709551615",
                "18446744073709551615",
                "\"18446744073709551615\"",
                "18446744073709551615",
            ),
        ] {
            assert_eq!(read(ScalarRules::Core, text), core, "{text}: core");
            assert_eq!(read(ScalarRules::Envoy, text), envoy, "{text}: Envoy");
            assert_eq!(
                read(ScalarRules::Kubernetes, text),
                kubernetes,
                "{text}: Kubernetes"
            );
        }
    }
}
