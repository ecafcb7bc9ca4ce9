//! The configs of tiergate in a file: by the shape of Envoy's wasm filter, and by the kinds of Istio and
//! Envoy Gateway.

use super::json_text::{self, NotJson, moved};
use super::source::SourceFile;
use super::tree::{Bytes, DocNode, DocValue, Member};
use super::yaml;
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// What a file is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// The config alone.
    Plain,
    /// Envoy's own config, or an EnvoyFilter's.
    Envoy,
    /// Istio's WasmPlugin or TrafficExtension.
    Istio,
    /// Envoy Gateway's EnvoyExtensionPolicy.
    EnvoyGateway,
}

/// A config that was found.
pub struct FoundConfig<'a> {
    pub platform: Platform,
    /// The object that has the config, such as the filter's `config`.
    pub holder: &'a DocNode,
    /// Where the holder is named.
    pub at: Bytes,
    /// The HTTP filters of the listener that come before, where the file shows them.
    pub before: Option<Vec<&'a DocNode>>,
    /// The connection manager, where the file shows it.
    pub manager: Option<&'a DocNode>,
    /// The names of all clusters, where the file has them all.
    pub clusters: Option<BTreeSet<&'a str>>,
    pub body: Body,
}

impl FoundConfig<'_> {
    /// Returns the config with its places. A missing one is an empty object, and a text that is not
    /// JSON is `None`.
    pub fn written(&self) -> Option<DocNode> {
        match &self.body {
            Body::NotJson(_) => None,
            Body::Tree(node) if !matches!(node.value, DocValue::Null) => Some(node.clone()),
            Body::Tree(_) | Body::Absent => {
                Some(DocNode::new(self.at.clone(), DocValue::Map(Vec::new())))
            }
        }
    }
}

/// The text of a config.
pub enum Body {
    /// The file has no config, so every default holds.
    Absent,
    Tree(DocNode),
    /// A text that is no JSON.
    NotJson(NotJson),
}

/// The fields of a config, as the parser names them.
static FIELDS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let refused = tiergate::config::parse(br#"{"?": 0}"#).err();
    let problem = refused.map(|invalid| invalid.problem).unwrap_or_default();
    let names = problem.split('`').skip(3).step_by(2);
    names.map(str::to_owned).collect()
});

/// Fields of documents of Envoy and Kubernetes that are no fields of a config.
const FOREIGN: [&str; 10] = [
    "apiVersion",
    "kind",
    "static_resources",
    "staticResources",
    "dynamic_resources",
    "dynamicResources",
    "resources",
    "http_filters",
    "filter_chains",
    "@type",
];

/// Finds all configs of a file's documents.
pub fn find<'a>(
    source: &SourceFile,
    documents: &'a [DocNode],
    is_json: bool,
) -> Vec<FoundConfig<'a>> {
    let mut found = Vec::new();
    for document in documents {
        let walk = DocumentWalk {
            source,
            clusters: clusters(document),
        };
        let before = found.len();
        walk.down(document, &mut Vec::new(), &mut found);
        if found.len() == before && is_config(document, is_json) {
            found.push(FoundConfig {
                platform: Platform::Plain,
                holder: document,
                at: document.at.clone(),
                before: None,
                manager: None,
                clusters: None,
                body: Body::Tree(document.clone()),
            });
        }
    }
    found
}

/// True for a document that is a config itself. JSON is one unless it is something else.
fn is_config(document: &DocNode, is_json: bool) -> bool {
    let members = document.members();
    let is_foreign = members.iter().any(|m| FOREIGN.contains(&&*m.name));
    let is_known = members.iter().any(|m| FIELDS.contains(&m.name));
    !is_foreign && (is_json || is_known)
}

/// Returns the names of the clusters of an Envoy that gets none from elsewhere.
fn clusters(document: &DocNode) -> Option<BTreeSet<&str>> {
    let resources = get(document, "static_resources", "staticResources")?;
    let dynamic = get(document, "dynamic_resources", "dynamicResources");
    if dynamic.is_some_and(|dynamic| get(dynamic, "cds_config", "cdsConfig").is_some()) {
        return None;
    }
    let all = resources.get("clusters").map_or(&[][..], DocNode::elements);
    Some(all.iter().filter_map(|c| c.get("name")?.text()).collect())
}

/// Returns a member by its name in YAML or in protobuf's JSON.
pub fn get<'a>(node: &'a DocNode, snake: &str, camel: &str) -> Option<&'a DocNode> {
    node.get(snake).or_else(|| node.get(camel))
}

struct DocumentWalk<'s, 'a> {
    source: &'s SourceFile,
    clusters: Option<BTreeSet<&'a str>>,
}

impl<'a> DocumentWalk<'_, 'a> {
    fn down(
        &self,
        node: &'a DocNode,
        above: &mut Vec<&'a DocNode>,
        found: &mut Vec<FoundConfig<'a>>,
    ) {
        let kind = node.get("kind").and_then(DocNode::text);
        match kind.filter(|_| node.get("spec").is_some()) {
            Some("WasmPlugin") => {
                let holder = node.get("spec");
                found.extend(holder.and_then(|spec| self.plugin(node, spec, Platform::Istio)));
                return;
            }
            Some("TrafficExtension") => {
                let holder = node.get_in(&["spec", "wasm"]);
                found.extend(holder.and_then(|wasm| self.plugin(node, wasm, Platform::Istio)));
                return;
            }
            Some("EnvoyExtensionPolicy") => {
                let wasm = node
                    .get_in(&["spec", "wasm"])
                    .map_or(&[][..], DocNode::elements);
                let all = wasm.iter();
                found.extend(all.filter_map(|one| self.plugin(node, one, Platform::EnvoyGateway)));
                return;
            }
            _ => {}
        }
        if get(node, "vm_config", "vmConfig").is_some() {
            found.extend(self.filter(node, above));
            return;
        }
        above.push(node);
        for member in node.members() {
            self.down(&member.value, above, found);
        }
        for element in node.elements() {
            self.down(element, above, found);
        }
        above.pop();
    }

    /// Takes the config of a resource of Istio or Envoy Gateway.
    fn plugin(
        &self,
        resource: &'a DocNode,
        holder: &'a DocNode,
        platform: Platform,
    ) -> Option<FoundConfig<'a>> {
        let config = match platform {
            Platform::EnvoyGateway => member(holder, &["config"]),
            _ => member(holder, &["pluginConfig"]),
        };
        let body = config.map_or(Body::Absent, |member| Body::Tree(member.value.clone()));
        let named = [resource.get_in(&["metadata", "name"]), holder.get("name")];
        let is_named = named.into_iter().flatten().any(names_us);
        if !is_named
            && !mentions_us(holder, &["url", "code", "pluginName", "rootID"])
            && !is_ours(&body)
        {
            return None;
        }
        let name = resource.get_in(&["metadata", "name"]).unwrap_or(resource);
        Some(FoundConfig {
            platform,
            holder,
            at: config.map_or(name.at.clone(), |member| member.name_at.clone()),
            before: None,
            manager: None,
            clusters: None,
            body,
        })
    }

    /// Takes the config of a wasm filter of Envoy; `above` are the values around it.
    fn filter(&self, plugin: &'a DocNode, above: &[&'a DocNode]) -> Option<FoundConfig<'a>> {
        let body = self.configuration(plugin);
        let filter = above.iter().rev().find(|node| {
            node.get("name").is_some() && get(node, "typed_config", "typedConfig").is_some()
        });
        let is_named = filter
            .and_then(|filter| filter.get("name"))
            .is_some_and(names_us);
        let fields = ["name", "root_id", "rootId", "vm_config", "vmConfig"];
        if !is_named && !mentions_us(plugin, &fields) && !is_ours(&body) {
            return None;
        }
        let filters = above.iter().rev().find_map(|node| {
            let filters = get(node, "http_filters", "httpFilters")?.elements();
            Some((*node, filters))
        });
        let before = filters.and_then(|(_, filters)| {
            let ours = filters
                .iter()
                .position(|one| one.at == filter.map_or(0..0, |f| f.at.clone()))?;
            Some(filters.iter().take(ours).collect())
        });
        let vm = member(plugin, &["vm_config", "vmConfig"]);
        Some(FoundConfig {
            platform: Platform::Envoy,
            holder: plugin,
            at: vm.map_or(plugin.at.clone(), |member| member.name_at.clone()),
            before,
            manager: filters.map(|(manager, _)| manager),
            clusters: self.clusters.clone(),
            body,
        })
    }

    /// Returns the config in an Any: a JSON text, or a Struct.
    fn configuration(&self, plugin: &DocNode) -> Body {
        let Some(any) = plugin.get("configuration") else {
            return Body::Absent;
        };
        let kind = any.get("@type").and_then(DocNode::text).unwrap_or_default();
        let Some(value) = any.get("value") else {
            return Body::Absent;
        };
        match &value.value {
            DocValue::Text(text) if !kind.ends_with("Struct") => self.within(value, text),
            _ => Body::Tree(value.clone()),
        }
    }

    /// Reads a JSON text that stands in the file as a scalar.
    fn within(&self, scalar: &DocNode, text: &str) -> Body {
        if text.trim().is_empty() {
            return Body::Absent;
        }
        let places = yaml::places_within(&self.source.text, scalar, text);
        let place = |byte: usize| places.get(byte).copied().unwrap_or(scalar.at.end);
        match json_text::read(text) {
            Ok(node) => Body::Tree(moved(node, &|at: &Bytes| {
                let last = place(at.end.saturating_sub(1));
                place(at.start)..last.saturating_add(1)
            })),
            Err(error) => Body::NotJson(NotJson {
                at: place(error.at),
                problem: error.problem,
            }),
        }
    }
}

/// Returns the first member with one of these names.
fn member<'a>(node: &'a DocNode, names: &[&str]) -> Option<&'a Member> {
    let mut members = node.members().iter();
    members.find(|member| names.contains(&&*member.name))
}

fn names_us(node: &DocNode) -> bool {
    node.text().is_some_and(|text| text.contains("tiergate"))
}

/// True when a text in one of these members names tiergate.
fn mentions_us(node: &DocNode, names: &[&str]) -> bool {
    let mut members = node.members().iter().filter(|m| names.contains(&&*m.name));
    members.any(|member| any_text(&member.value, &|text| text.contains("tiergate")))
}

fn any_text(node: &DocNode, holds: &impl Fn(&str) -> bool) -> bool {
    node.text().is_some_and(holds)
        || node
            .elements()
            .iter()
            .any(|element| any_text(element, holds))
        || node
            .members()
            .iter()
            .any(|member| any_text(&member.value, holds))
}

/// True for a config most of whose fields are ours.
fn is_ours(body: &Body) -> bool {
    let Body::Tree(config) = body else {
        return false;
    };
    let all = config.members().len();
    let known = config.members().iter().filter(|m| FIELDS.contains(&m.name));
    let known = known.count().saturating_mul(2);
    all > 0 && known > all
}
