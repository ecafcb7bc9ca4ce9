//! The configs of tiergate in a file: by the shape of Envoy's wasm filter, and by the kinds of Istio and
//! Envoy Gateway.

use super::body::{Body, Misplaced, member, of_filter, of_resource};
use super::scalars::{OF_ENVOY, ScalarRules};
use super::source::SourceFile;
use super::tree::{Bytes, DocNode, DocValue};
use super::vm::VmIdentity;
use std::collections::BTreeSet;
use std::sync::LazyLock;
use tiergate::json::nearest;

/// The reader that a file is written for.
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
    /// The rules by which scalars without quotes were read.
    pub rules: ScalarRules,
    /// The VM of the filter, where the file says it.
    pub vm: Option<VmIdentity>,
    pub body: Body,
}

impl FoundConfig<'_> {
    /// Returns the config with its places. A missing one is an empty object, and one that nothing can
    /// read is `None`.
    pub fn written(&self) -> Option<DocNode> {
        match &self.body {
            Body::NotJson(_) | Body::Misplaced(_) => None,
            Body::Tree(node) | Body::Json(node) => Some(node.clone()),
            Body::Absent => Some(DocNode::new(self.at.clone(), DocValue::Map(Vec::new()))),
        }
    }
}

/// The fields of a config, as the parser names them.
static FIELDS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let refused = tiergate::config::parse(br#"{"?": 0}"#).err();
    let problem = refused.map(|invalid| invalid.problem).unwrap_or_default();
    let names = problem.split('`').skip(3).step_by(2);
    names.map(str::to_owned).collect()
});

/// Fields of documents of Kubernetes, and of an Any, that are no fields of a config.
const OF_KUBERNETES: [&str; 3] = ["apiVersion", "kind", "@type"];
/// The number of fields by which a document is taken for a config.
const LOOKED_AT: usize = 64;

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
            rules: match is_json {
                true => ScalarRules::Core,
                false => ScalarRules::of(document),
            },
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
                rules: ScalarRules::Core,
                vm: None,
                body: Body::Json(document.clone()),
            });
        }
    }
    found
}

/// True for a document that is a config itself. JSON is one unless it is something else.
fn is_config(document: &DocNode, is_json: bool) -> bool {
    let members = document.members();
    let is_foreign = members.iter().any(|member| {
        let name = member.name.as_str();
        OF_KUBERNETES.contains(&name) || OF_ENVOY.contains(&name)
    });
    let known = || FIELDS.iter().map(String::as_str);
    let mut first = members.iter().take(LOOKED_AT);
    let is_known = first.any(|m| nearest(&m.name, known()).is_some());
    !is_foreign && (is_json || is_known)
}

/// True for the name of a field of a config.
pub fn is_field(name: &str) -> bool {
    FIELDS.contains(name)
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
    rules: ScalarRules,
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
                found.extend(holder.and_then(|spec| self.istio(node, spec)));
                return;
            }
            Some("TrafficExtension") => {
                let holder = node.get_in(&["spec", "wasm"]).or_else(|| node.get("spec"));
                found.extend(holder.and_then(|wasm| self.istio(node, wasm)));
                return;
            }
            Some("EnvoyExtensionPolicy") => {
                found.extend(self.policy(node));
                return;
            }
            _ => {}
        }
        if get(node, "vm_config", "vmConfig").is_some() {
            found.extend(self.filter(node, above));
            return;
        }
        above.push(node);
        let without_vm = node.get("config").filter(|_| is_wasm_filter(node));
        if let Some(plugin) = without_vm.filter(|one| get(one, "vm_config", "vmConfig").is_none()) {
            found.extend(self.filter(plugin, above));
            above.pop();
            return;
        }
        for member in node.members() {
            self.down(&member.value, above, found);
        }
        for element in node.elements() {
            self.down(element, above, found);
        }
        above.pop();
    }

    fn istio(&self, resource: &'a DocNode, holder: &'a DocNode) -> Option<FoundConfig<'a>> {
        self.plugin(resource, holder, Platform::Istio, VmIdentity::of_istio())
    }

    /// Takes the configs of an EnvoyExtensionPolicy. A filter outside of a list is found, to say so.
    fn policy(&self, policy: &'a DocNode) -> Vec<FoundConfig<'a>> {
        let spec = policy.get("spec");
        let Some(wasm) = spec.and_then(|spec| member(spec, &["wasm"])) else {
            return Vec::new();
        };
        let plugin = |(place, one): (usize, &'a DocNode)| {
            let vm = VmIdentity::of_policy(policy, place);
            self.plugin(policy, one, Platform::EnvoyGateway, vm)
        };
        if wasm.value.members().is_empty() {
            let filters = wasm.value.elements().iter().enumerate();
            return filters.filter_map(plugin).collect();
        }
        let single = plugin((0, &wasm.value)).map(|found| FoundConfig {
            body: Body::Misplaced(Misplaced::no_list(&wasm.name_at)),
            ..found
        });
        single.into_iter().collect()
    }

    /// Takes the config of a resource of Istio or Envoy Gateway.
    fn plugin(
        &self,
        resource: &'a DocNode,
        holder: &'a DocNode,
        platform: Platform,
        vm: VmIdentity,
    ) -> Option<FoundConfig<'a>> {
        let field = match platform {
            Platform::EnvoyGateway => "config",
            _ => "pluginConfig",
        };
        let config = member(holder, &[field]);
        let body = of_resource(resource, holder, field);
        // The name of a policy with several filters says nothing of each.
        let filters = resource.get_in(&["spec", "wasm"]);
        let is_single = filters.is_none_or(|filters| filters.elements().len() < 2);
        let of_resource = resource.get_in(&["metadata", "name"]);
        let named = [of_resource.filter(|_| is_single), holder.get("name")];
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
            rules: self.rules,
            vm: Some(vm),
            body,
        })
    }

    /// Takes the config of a wasm filter of Envoy; `above` are the values around it.
    fn filter(&self, plugin: &'a DocNode, above: &[&'a DocNode]) -> Option<FoundConfig<'a>> {
        let body = of_filter(self.source, plugin);
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
            rules: self.rules,
            vm: Some(VmIdentity::of_filter(plugin)),
            body,
        })
    }
}

/// True for the typed config of a wasm filter.
fn is_wasm_filter(typed: &DocNode) -> bool {
    let kind = typed.get("@type").and_then(DocNode::text);
    kind.is_some_and(|kind| kind.ends_with(".filters.http.wasm.v3.Wasm"))
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
    let (Body::Tree(config) | Body::Json(config)) = body else {
        return false;
    };
    let all = config.members().len();
    let known = config.members().iter().filter(|m| FIELDS.contains(&m.name));
    let known = known.count().saturating_mul(2);
    all > 0 && known > all
}
