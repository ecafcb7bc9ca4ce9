//! The page: what stands on it, and that nothing a client sends becomes markup.

use crate::harness::{Call, Config, FakeRequest, Used, Worker, World};
use serde_json::json;

fn config() -> Config {
    Config::new().open_admin().with(json!({
        "capacity": {"accounts": 64, "directory": 64},
        "tier": [{"header": "x-account-tier"}, "directory"]
    }))
}

fn worker(world: &std::sync::Arc<World>) -> Worker {
    Worker::new(world, config())
}

fn page(worker: &Worker, account: Option<&[u8]>) -> String {
    let answer = worker.administer(&Call::Page(account.map(<[u8]>::to_vec)), "");
    assert_eq!(answer.status, 200);
    String::from_utf8(answer.body).unwrap()
}

/// A section's HTML.
fn html<'a>(page: &'a str, id: &str) -> &'a str {
    let (_, from) = page.split_once(&format!("id=\"{id}\"")).unwrap();
    let (html, _) = from.split_once("</section>").unwrap();
    html
}

/// A section's text, without its tags.
fn section(page: &str, id: &str) -> String {
    let text = html(page, id).split('<').map(|part| {
        let text = part.split_once('>').map_or(part, |(_, text)| text);
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    });
    let text: Vec<_> = text.filter(|text| !text.is_empty()).collect();
    text.join(" ")
}

fn put(worker: &Worker, id: &str, body: &str) {
    assert_eq!(worker.put(id, body).0, 200);
}

#[test]
fn it_shows_tiers_refusals_and_pages_as_tables() {
    let world = World::new();
    let worker = worker(&world);
    assert!(page(&worker, None).contains("none has had a request in the last 2 s"));
    for _ in 0..3 {
        assert!(worker.serves(&FakeRequest::of("acme", "tier0", 0), Used::Tokens(100)));
    }
    worker.refuse(&FakeRequest::of("acme", "tier0", 0));
    worker.tick();
    let page = page(&worker, None);
    assert!(!page.contains("none has admitted"));
    let tiers = section(&page, "tiers");
    assert!(
        tiers.contains("tier0 $1 1 3 500,000 1,500,000 tier1 $10 50 200 2,000,000 unlimited"),
        "{tiers}"
    );
    assert!(tiers.contains("tier5 $3,000 1,000"), "{tiers}");
    let refusals = section(&page, "refusals");
    assert!(refusals.contains("tier0 rpm 1 1"), "{refusals}");
    let accounts = section(&page, "accounts");
    assert!(accounts.contains("acme tier0 rpm 1 0 s"), "{accounts}");
    assert!(page.contains("<a href=\"?account=acme\">acme</a>"));
    assert!(section(&page, "load").contains("Base limits are effective."));
    assert!(section(&page, "pages").contains("Ledger 1 8 1 "));
    assert!(
        html(&page, "found").contains(" hidden>"),
        "nothing was asked"
    );
}

#[test]
fn a_look_up_shows_four_bars_whatever_is_known_of_the_account() {
    let world = World::new();
    let worker = worker(&world);
    put(&worker, "acme", r#"{"recharge": "1"}"#);
    put(&worker, "free", r#"{"tier": "tier3"}"#);
    put(&worker, "poor", r#"{"recharge": "0.50"}"#);
    let _admission = worker.admit(&FakeRequest::with(&[("x-account-id", "acme")]));
    let _admission = worker.admit(&FakeRequest::of("stranger", "tier0", 0));
    let of = |id: &[u8]| section(&page(&worker, Some(id)), "found");
    let acme = of(b"acme");
    for part in [
        "Account acme tier tier0 by its recharge recharge $1 in flight 1",
        "In flight 1 1 0 –",
        "RPM 1 3 2 1 min 0 s",
        "TPM 2,048 500,000 497,952 1 min 0 s",
        "TPD 2,048 1,500,000 1,497,952",
    ] {
        assert!(acme.contains(part), "{part} in {acme}");
    }
    let free = of(b"free");
    assert!(free.contains("tier tier3 put into it by name"), "{free}");
    assert!(free.contains("TPD – unlimited – –"), "{free}");
    assert!(of(b"poor").contains("gives it no tier"));
    let stranger = of(b"stranger");
    assert!(
        stranger.contains("The directory does not know this account."),
        "{stranger}"
    );
    assert!(
        stranger.contains("RPM 1 not known – 1 min 0 s"),
        "{stranger}"
    );
    assert!(of(b"nobody").contains("does not know this account, and nothing is counted for it."));
    assert!(of(&[b'x'; 5_000]).contains("more than 4096 bytes"));
    // Refused in a tier, it is measured by that tier.
    worker.refuse(&FakeRequest::of("stranger", "tier0", 0));
    worker.tick();
    let stranger = of(b"stranger");
    assert!(stranger.contains("last refused in tier0"), "{stranger}");
    assert!(stranger.contains("RPM 1 3 2 1 min 0 s"), "{stranger}");
    for id in [&b"acme"[..], b"free", b"poor", b"stranger", b"nobody"] {
        let page = page(&worker, Some(id));
        assert_eq!(html(&page, "found").matches("<svg").count(), 4);
    }
}

#[test]
fn a_look_up_knows_that_requests_may_bring_another_tier() {
    let world = World::new();
    let worker = worker(&world);
    put(&worker, "poor", r#"{"recharge": "0.50"}"#);
    put(&worker, "big", r#"{"tier": "tier3"}"#);
    let _admission = worker.admit(&FakeRequest::of("poor", "tier1", 0));
    let of = |id: &[u8]| section(&page(&worker, Some(id)), "found");
    let poor = of(b"poor");
    assert!(poor.contains("tier none"), "{poor}");
    assert!(poor.contains("in flight 1"), "{poor}");
    let (_, json) = worker.call(&Call::Get(b"poor".to_vec()), "");
    assert_eq!(json["in_flight"], 1);
    assert!(json["usage"].is_null() && json["limits"].is_null());
    // tier3 by the directory, and refused in the tier that its requests name.
    assert!(!of(b"big").contains("last refused"));
    let _admission = worker.admit(&FakeRequest::of("big", "tier0", 0));
    worker.refuse(&FakeRequest::of("big", "tier0", 0));
    worker.tick();
    let big = of(b"big");
    assert!(
        big.contains("It was last refused in tier0, 0 s ago."),
        "{big}"
    );
}

/// The tags of a page with the names of their attributes, and nothing of text and values.
fn skeleton(page: &str) -> Vec<String> {
    let tags = page.split('<').skip(1);
    tags.map(|tag| {
        let tag = tag.split('>').next().unwrap();
        let outside = tag.split('"').step_by(2);
        outside.collect()
    })
    .collect()
}

/// The page after one request of each of these accounts was refused, looking the first of them up.
fn page_of(ids: &[&[u8]]) -> String {
    let world = World::new();
    let worker = worker(&world);
    for id in ids {
        let mut request = FakeRequest::of("", "gold", 0);
        request.headers[0].1 = id.to_vec();
        worker.refuse(&request);
    }
    worker.tick();
    page(&worker, Some(ids[0]))
}

#[test]
fn nothing_that_a_client_sends_is_markup_or_invisible() {
    let ids: [&[u8]; 6] = [
        b"\"><script>document.title='owned'</script>",
        b"' onmouseover=alert(1) x='",
        b"</style></title></script><img src=x onerror=alert(1)>",
        "\u{202e}\u{2066}evil\u{200b}".as_bytes(),
        b"\xff\xc0\x80\t\x7f",
        b"javascript:alert(1)&amp;{{7*7}}",
    ];
    let harmless: Vec<_> = (0..6).map(|i| format!("account-{i}")).collect();
    let harmless: Vec<&[u8]> = harmless.iter().map(String::as_bytes).collect();
    let wanted = page_of(&harmless);
    for first in 0..ids.len() {
        let mut ids = ids;
        ids.rotate_left(first);
        let page = page_of(&ids);
        // What can't be seen does not stand in the form either, which is then without a value.
        let without_value = |page: &str| -> Vec<String> {
            let tags = skeleton(page).into_iter();
            tags.map(|tag| tag.replace(" value=", "")).collect()
        };
        assert_eq!(without_value(&page), without_value(&wanted));
        let is_seen = |c: char| c == '\n' || c.escape_debug().len() == 1 || "\"'\\".contains(c);
        assert!(page.chars().all(is_seen));
        for part in [
            "&lt;script&gt;",
            "href=\"?account=%22%3E%3Cscript%3E",
            "\\u{202e}\\u{2066}evil\\u{200b}",
            "\\xff\\xc0\\x80\\u{9}\\u{7f}",
            "&amp;amp;",
        ] {
            assert!(page.contains(part), "{part}");
        }
    }
}

#[test]
fn the_policy_names_the_style_and_the_script_that_are_there() {
    use base64::Engine as _;
    use sha2::Digest as _;
    let world = World::new();
    let worker = worker(&world);
    let answer = worker.administer(&Call::Page(None), "");
    let header = |name: &str| {
        let found = answer.headers.iter().find(|(n, _)| *n == name);
        found.map(|(_, value)| value.as_str()).unwrap()
    };
    assert_eq!(header("content-type"), "text/html; charset=utf-8");
    assert_eq!(header("cache-control"), "no-store");
    let page = std::str::from_utf8(&answer.body).unwrap();
    for tag in ["style", "script"] {
        let (_, rest) = page.split_once(&format!("<{tag}>")).unwrap();
        let (text, _) = rest.split_once(&format!("</{tag}>")).unwrap();
        let digest = base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(text));
        let wanted = format!("{tag}-src 'sha256-{digest}'");
        assert!(header("content-security-policy").contains(&wanted));
    }
    assert!(
        !page.contains("style=") && !page.contains("http"),
        "nothing inline or outside"
    );
}

#[test]
fn without_its_slash_it_is_somewhere_else() {
    let world = World::new();
    let worker = worker(&world);
    let answer = worker.administer(&Call::PageWithoutSlash, "");
    assert_eq!(answer.status, 308);
    assert!(
        answer
            .headers
            .contains(&("location", "tiergate/".to_owned()))
    );
}
