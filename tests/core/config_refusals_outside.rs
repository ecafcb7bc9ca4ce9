//! The refusals of the config check for what others call or read: the admin API, the feed, the usage
//! path, and the replies.

use crate::config::feed;
use crate::config_refusals::are_refused;

#[test]
fn admin_feed_and_usage_path_are_refused_where_nobody_could_call_them() {
    are_refused(&[
        (r#"{"admin": {"path": "/x"}}"#, "admin", "token_sha256"),
        (
            r#"{"admin": {"path": "x/", "insecure": true}}"#,
            "admin.path",
            "/-/tiergate",
        ),
        (
            r#"{"admin": {"path": "/x", "token_sha256": "abc"}}"#,
            "admin.token_sha256",
            "64 hex digits",
        ),
        (
            r#"{"usage_path": "v1/limits"}"#,
            "usage_path",
            "is not a path",
        ),
        (
            r#"{"usage_path": "/v1/limits?x"}"#,
            "usage_path",
            "is not a path",
        ),
        (
            r#"{"directory": {"cluster": "c"}}"#,
            "directory",
            "missing field `authority`",
        ),
        (
            &feed("cluster", ""),
            "directory.cluster",
            "name of a cluster",
        ),
        (&feed("authority", "a/b"), "directory.authority", "host"),
        (&feed("path", "accounts"), "directory.path", "begins with /"),
        (&feed("path", "/a b"), "directory.path", "begins with /"),
        (&feed("interval", "999ms"), "directory.interval", "\"1s\""),
        (&feed("interval", "25h"), "directory.interval", "\"24h\""),
        (
            r#"{"directory": {"cluster": "c", "authority": "a", "path": "/v1/directory/changes",
                "interval": "1s", "removes": true}, "tier": ["directory"]}"#,
            "directory.removes",
            "changes alone",
        ),
        (&feed("every", "1s"), "directory.every", "unknown field"),
    ]);
}

#[test]
fn styles_and_origins_that_no_client_knows_are_refused() {
    are_refused(&[
        (r#"{"headers": "all"}"#, "headers", "\"auto\""),
        (r#"{"headers": ["x"]}"#, "headers[0]", "openai"),
        (
            r#"{"headers": ["openai", "openai"]}"#,
            "headers[1]",
            "twice",
        ),
        (r#"{"errors": "ollama"}"#, "errors", "`gemini`"),
        (
            r#"{"errors": "antropic"}"#,
            "errors",
            "did you mean `anthropic`?",
        ),
        (r#"{"error": "auto"}"#, "error", "did you mean `errors`?"),
        (r#"{"jitter": "0ms"}"#, "jitter", "\"1ms\""),
        (r#"{"jitter": "61s"}"#, "jitter", "\"1ms\" to \"1m\""),
        (r#"{"cors": {}}"#, "cors", "missing field `origins`"),
        (r#"{"cors": ["*"]}"#, "cors", "an object"),
        (
            r#"{"cors": {"origin": ["*"]}}"#,
            "cors.origin",
            "did you mean `origins`?",
        ),
        (&origins("[]"), "cors.origins", "1 to 64"),
        (&origins(r#"["*", "*"]"#), "cors.origins[1]", "twice"),
        (
            &origins(r#"["app.example.com"]"#),
            "cors.origins[0]",
            "https://",
        ),
        (
            &origins(r#"["https://a.com/"]"#),
            "cors.origins[0]",
            "without a path",
        ),
        (
            &origins(r#"["HTTPS://a.com"]"#),
            "cors.origins[0]",
            "lower case",
        ),
        (&origins(r#"["https://"]"#), "cors.origins[0]", "https://"),
        (
            &origins(r#"["https://a\"b"]"#),
            "cors.origins[0]",
            "https://",
        ),
        (&origins(r#"["null"]"#), "cors.origins[0]", "https://"),
        (&origins(r#"["*.a.com"]"#), "cors.origins[0]", "https://"),
    ]);
}

fn origins(list: &str) -> String {
    format!(r#"{{"cors": {{"origins": {list}}}}}"#)
}
