//! Six cells of the table that `make clients` makes (docs/clients.md): client libraries, as they are,
//! against refusals in their own form.

use crate::client_cases::{Case, Cases, MINUTE_MS};
use serde_json::json;

#[test]
fn client_libraries_raise_wait_and_try_as_they_do_with_their_own_api() {
    let cases = Cases::start();
    let waited = cases.run("openai", Case::Rpm, false);
    assert_eq!((waited.raises, waited.tries), (None, 2), "{}", waited.text);
    assert!(
        (1..MINUTE_MS + 500).contains(&waited.waits_ms[0]),
        "{:?}",
        waited.waits_ms
    );

    let daily = cases.run("openai", Case::Tpd, true);
    assert_eq!(
        (daily.raises.as_deref(), daily.tries),
        (Some("RateLimitError"), 1)
    );
    assert_eq!(daily.body["code"], "tpd");

    let claude = cases.run("anthropic", Case::Tpm, true);
    assert_eq!((claude.raises, claude.tries), (None, 2), "{}", claude.text);

    let claude = cases.run("anthropic", Case::Concurrency, false);
    assert_eq!(
        (claude.raises.as_deref(), claude.tries),
        (Some("RateLimitError"), 3)
    );
    assert_eq!(claude.body["type"], "rate_limit_error");
    assert_eq!(claude.body["code"], "concurrency");

    let gemini = cases.run("google-genai", Case::Rpm, false);
    assert_eq!(
        (gemini.raises.as_deref(), gemini.status),
        (Some("ClientError"), Some(429))
    );
    assert_eq!(gemini.body["status"], json!("RESOURCE_EXHAUSTED"));

    let gemini = cases.run("google-genai", Case::NoTier, true);
    assert_eq!(
        (gemini.raises.as_deref(), gemini.status),
        (Some("ClientError"), Some(403))
    );
    assert_eq!(gemini.body["status"], json!("PERMISSION_DENIED"));
}
