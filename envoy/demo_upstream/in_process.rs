//! How many requests are in process at once, by the name that they count as.

use hyper::header::HeaderMap;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Requests in process, now and at most, by the name that they count as.
static IN_PROCESS: Mutex<BTreeMap<String, (u64, u64)>> = Mutex::new(BTreeMap::new());

/// One request in process, however it ends.
pub struct InProcess(String);

impl InProcess {
    pub fn enter(headers: &HeaderMap) -> Self {
        let name = headers.get("x-demo-count-as").and_then(|v| v.to_str().ok());
        let name = name.unwrap_or("all").to_owned();
        if let Ok(mut counts) = IN_PROCESS.lock() {
            let (now, most) = counts.entry(name.clone()).or_default();
            *now = now.saturating_add(1);
            *most = (*most).max(*now);
        }
        Self(name)
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        if let Ok(mut counts) = IN_PROCESS.lock()
            && let Some((now, _)) = counts.get_mut(&self.0)
        {
            *now = now.saturating_sub(1);
        }
    }
}

/// How many were in process at once, at most, by name.
pub fn most() -> Vec<u8> {
    let Ok(counts) = IN_PROCESS.lock() else {
        return Vec::new();
    };
    let most: BTreeMap<_, _> = counts
        .iter()
        .map(|(name, (_, most))| (name, most))
        .collect();
    serde_json::to_vec(&most).unwrap_or_default()
}
