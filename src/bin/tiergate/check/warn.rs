//! Warnings: what the filter takes, and what does not do what it seems to.

use super::body::Body;
use super::find::{FoundConfig, Platform, get};
use super::place::NodePlace;
use super::report::{ConfigFinding, Severity};
use super::tree::{Bytes, DocNode};
use tiergate::config::Config;
use tiergate::identity::{RequestField, TierSource};
use tiergate::limits::units::Unit;

/// The buffer of Envoy Gateway's listeners by default, in bytes.
const GATEWAY_BUFFER: u64 = 32 * 1024;

/// HTTP filters that can set a header, by the last part of their type.
const IDENTIFY: [&str; 12] = [
    "jwt_authn",
    "ext_authz",
    "ext_proc",
    "header_mutation",
    "basic_auth",
    "api_key_auth",
    "oauth2",
    "credential_injector",
    "lua",
    "golang",
    "wasm",
    "dynamic_modules",
];

/// The warnings of a config that has no error.
pub struct Warnings<'a> {
    pub found: &'a FoundConfig<'a>,
    /// The config as it is written.
    pub written: &'a DocNode,
    pub config: &'a Config,
    list: Vec<ConfigFinding>,
}

impl<'a> Warnings<'a> {
    /// Lists the warnings.
    pub fn of(
        found: &'a FoundConfig<'a>,
        written: &'a DocNode,
        config: &'a Config,
    ) -> Vec<ConfigFinding> {
        let mut warnings = Self {
            found,
            written,
            config,
            list: Vec::new(),
        };
        warnings.list.extend(failure_policy(found));
        warnings.absent();
        warnings.module();
        warnings.inert();
        warnings.stop_iteration();
        warnings.gateway_buffer();
        warnings.identity();
        warnings.clusters();
        warnings.small_limits();
        warnings.prices();
        warnings.list.sort_by_key(|finding| finding.at.start);
        warnings.list
    }

    /// Warns of a holder without a config.
    fn absent(&mut self) {
        let remedy = match (&self.found.body, self.found.platform) {
            (Body::Absent, Platform::Istio) => "write it in pluginConfig",
            (Body::Absent, Platform::EnvoyGateway) => "write it in config",
            (Body::Absent, Platform::Envoy | Platform::Plain) => "write it in configuration",
            _ => return,
        };
        let problem = "there is no config here, so all defaults hold, and their tiers";
        self.add(self.found.at.clone(), "$", problem.to_owned(), remedy);
    }

    /// Warns of a filter of Envoy's that names no module.
    fn module(&mut self) {
        let vm = get(self.found.holder, "vm_config", "vmConfig");
        if self.found.platform == Platform::Envoy && vm.is_none() {
            let problem = "there is no vm_config: Envoy has no module to load";
            let remedy = "add vm_config with runtime and code";
            self.add(
                self.found.at.clone(),
                "vm_config",
                problem.to_owned(),
                remedy,
            );
        }
    }

    /// Adds a warning at a path of the config, or at its place where the path is not written.
    pub(super) fn warn(&mut self, path: &str, problem: String, remedy: &str) {
        let place = NodePlace::find(self.written, path);
        let at = match (place.steps.is_empty(), place.node(self.written)) {
            (false, Some(node)) => match place.name(self.written) {
                Some((_, name_at)) if !node.members().is_empty() => name_at,
                _ => node.at.clone(),
            },
            _ => self.found.at.clone(),
        };
        self.add(at, path, problem, remedy);
    }

    fn add(&mut self, at: Bytes, path: &str, problem: String, remedy: &str) {
        self.list.push(ConfigFinding {
            severity: Severity::Warning,
            at,
            path: path.to_owned(),
            problem,
            allowed: None,
            remedy: Some(remedy.to_owned()),
        });
    }

    fn stop_iteration(&mut self) {
        let name = "allow_on_headers_stop_iteration";
        let is_set = get(self.found.holder, name, "allowOnHeadersStopIteration");
        let reads_body = self.config.tokens.read_body.is_some();
        match self.found.platform {
            Platform::Plain => {}
            Platform::Envoy if is_set.is_some_and(DocNode::is_true) => {}
            Platform::Envoy => {
                let remedy = format!(
                    "add `{name}: true` beside vm_config (Envoy 1.35); before Envoy 1.40 it needs a \
                     restart, or a new root_id, to take effect"
                );
                if reads_body {
                    let problem = "without this switch of the filter, the first requests of a worker \
                                   wait for their body up to 1.5 s, and again after each minute";
                    self.warn("tokens.read_body", format!("{name}: {problem}"), &remedy);
                }
                if self.config.admin.is_some() {
                    let problem = "without this switch of the filter, admin calls with a body are \
                                   answered 501";
                    let remedy = format!("{remedy}; or send bodies in the header x-tiergate-body");
                    self.warn("admin", format!("{name}: {problem}"), &remedy);
                }
            }
            Platform::Istio | Platform::EnvoyGateway if reads_body => {
                let problem = "this resource can't set allow_on_headers_stop_iteration: the first \
                               requests of a worker wait for their body up to 1.5 s, and again after \
                               each minute";
                let remedy = match self.found.platform {
                    Platform::Istio => "deliver the filter by an EnvoyFilter (Istio 1.28)",
                    _ => "set it by an EnvoyPatchPolicy (Envoy Gateway 1.6)",
                };
                self.warn("tokens.read_body", problem.to_owned(), remedy);
            }
            Platform::Istio | Platform::EnvoyGateway => {}
        }
    }

    fn gateway_buffer(&mut self) {
        let Some(limit) = self.config.tokens.read_body else {
            return;
        };
        if self.found.platform == Platform::EnvoyGateway && limit > GATEWAY_BUFFER {
            let problem = format!(
                "Envoy Gateway's listeners buffer {GATEWAY_BUFFER} bytes: bodies from there to \
                 body_limit ({limit}) are answered 413"
            );
            let remedy = "raise the buffer by a ClientTrafficPolicy (connection.bufferLimit), or set \
                          body_limit to 32768";
            let path = match self.written.get_in(&["tokens", "body_limit"]) {
                Some(_) => "tokens.body_limit",
                None => "tokens.read_body",
            };
            self.warn(path, problem, remedy);
        }
    }

    /// Warns of a header that clients can send as they please.
    fn identity(&mut self) {
        let Some(before) = &self.found.before else {
            return;
        };
        // The listener of the admin API alone is not the clients'.
        if self.config.is_bare {
            return;
        }
        let early = [
            "early_header_mutation_extensions",
            "earlyHeaderMutationExtensions",
        ];
        let mutates_early = self
            .found
            .manager
            .is_some_and(|manager| get(manager, early[0], early[1]).is_some());
        if mutates_early || before.iter().any(|filter| can_identify(filter)) {
            return;
        }
        let header = |field: &RequestField| match field {
            RequestField::Header(name) => Some(name.clone()),
            _ => None,
        };
        let accounts = self.config.account.iter().enumerate();
        let mut trusted: Vec<(String, String)> = accounts
            .filter(|(_, source)| !source.digest)
            .filter_map(|(i, source)| Some((format!("account[{i}]"), header(&source.field)?)))
            .collect();
        let tiers = self.config.tier.iter().enumerate();
        trusted.extend(tiers.filter_map(|(i, source)| match source {
            TierSource::Name(field) | TierSource::Recharge(field) => {
                Some((format!("tier[{i}]"), header(field)?))
            }
            TierSource::SharedData(_) | TierSource::Directory => None,
        }));
        let Some((path, _)) = trusted.first() else {
            return;
        };
        let names: Vec<&str> = trusted.iter().map(|(_, name)| name.as_str()).collect();
        let problem = format!(
            "no filter before this one sets {}: a client that sends it chooses its own",
            names.join(", ")
        );
        let remedy =
            "put jwt_authn, ext_authz or header_mutation before it; envoy/identity has examples";
        self.warn(&path.clone(), problem, remedy);
    }

    fn clusters(&mut self) {
        let Some(clusters) = self.found.clusters.clone() else {
            return;
        };
        let config = self.config;
        let called = [
            (
                "directory.cluster",
                config.feed.as_ref().map(|feed| &feed.endpoint),
            ),
            (
                "notices.to.cluster",
                config.notices.as_ref().map(|notices| &notices.to),
            ),
            (
                "fleet.cluster",
                config.fleet.as_ref().map(|fleet| &fleet.to),
            ),
        ];
        for (path, to) in called {
            let Some(cluster) = to.map(|to| to.cluster.as_str()) else {
                continue;
            };
            if !clusters.contains(cluster) {
                let known: Vec<&str> = clusters.iter().copied().collect();
                let problem = format!("this file defines no cluster {cluster:?}: calls to it fail");
                let near = tiergate::json::nearest(cluster, known.iter().copied());
                let remedy = match near {
                    Some(near) => format!("did you mean {near:?}?"),
                    None => format!("define it, or name one of {}", known.join(", ")),
                };
                self.warn(path, problem, &remedy);
            }
        }
    }

    /// Warns of limits that one request reserves as a whole.
    fn small_limits(&mut self) {
        let assumed = self.config.tokens.estimate.completion;
        for (i, tier) in self.config.tiers.iter().enumerate() {
            for (kind, limit) in tier.all_limits().finite() {
                let family = kind.model().and_then(|model| {
                    let models = &self.config.models;
                    models
                        .by_name(model)
                        .and_then(|id| models.get(id))?
                        .completion
                });
                let assumed = family.unwrap_or(assumed);
                let counts = kind.counts(Unit::Tokens) || kind.counts(Unit::OutputTokens);
                if counts && limit < assumed {
                    let path = kind.path_in(&format!("tiers[{i}]"));
                    let problem = format!(
                        "{limit} is below the {assumed} completion tokens that a request is assumed to \
                         need: each reserves the whole limit while it runs"
                    );
                    let remedy = "raise the limit, lower tokens.completion, or set tokens.reserve to \
                                  \"adaptive\"";
                    self.warn(&path, problem, remedy);
                }
            }
        }
    }

    /// Warns of models that cost nothing beside limits on money.
    fn prices(&mut self) {
        let mut tiers = self.config.tiers.iter();
        let has_money = tiers.any(|tier| {
            let limits = tier.all_limits();
            limits.finite().any(|(kind, _)| kind.counts(Unit::Usd))
        });
        if !has_money {
            return;
        }
        for (i, family) in self.config.models.iter().enumerate() {
            if family.prices.is_none() {
                let problem = format!(
                    "{} has no price: its requests cost nothing on limits in usd",
                    family.name
                );
                self.warn(&format!("models[{i}]"), problem, "give it a price");
            }
        }
    }
}

/// True for a filter that can set a header: by its type, or by its name where the type is elsewhere.
fn can_identify(filter: &DocNode) -> bool {
    if filter.get("disabled").is_some_and(DocNode::is_true) {
        return false;
    }
    let typed = get(filter, "typed_config", "typedConfig");
    let kind = typed.and_then(|typed| typed.get("@type"));
    let text = kind.or_else(|| filter.get("name"));
    let mut parts = text
        .and_then(DocNode::text)
        .unwrap_or_default()
        .split(['.', '/']);
    parts.any(|part| IDENTIFY.contains(&part))
}

/// Warns of a filter that a panic ends. A config with errors has this warning too.
pub fn failure_policy(found: &FoundConfig<'_>) -> Option<ConfigFinding> {
    let (name, policy) = match found.platform {
        Platform::Envoy => {
            let policy = get(found.holder, "failure_policy", "failurePolicy");
            ("failure_policy", policy)
        }
        Platform::Istio => ("failStrategy", found.holder.get("failStrategy")),
        Platform::Plain | Platform::EnvoyGateway => return None,
    };
    if policy.and_then(DocNode::text) == Some("FAIL_RELOAD") {
        return None;
    }
    Some(ConfigFinding {
        severity: Severity::Warning,
        at: policy.map_or_else(|| found.at.clone(), |node| node.at.clone()),
        path: name.to_owned(),
        problem: "without FAIL_RELOAD, one panic ends a worker's filter until Envoy restarts"
            .to_owned(),
        allowed: None,
        remedy: Some(format!(
            "add `{name}: FAIL_RELOAD` (Envoy 1.33, Istio 1.27)"
        )),
    })
}
